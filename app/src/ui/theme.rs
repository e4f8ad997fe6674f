//! How everything looks: spacing, corners, the size of text, light and dark.

use egui::{Color32, Context, CornerRadius, FontFamily, FontId, TextStyle, ThemePreference, Visuals, vec2};

use crate::state::{Preferences, Theme};

/// Brings the context to the preferences; cheap where nothing changed.
pub fn apply(ctx: &Context, preferences: &Preferences) {
    ctx.set_theme(match preferences.theme {
        Theme::System => ThemePreference::System,
        Theme::Light => ThemePreference::Light,
        Theme::Dark => ThemePreference::Dark,
    });
    let scale = preferences.text_scale.clamp(0.5, 3.0);
    if (ctx.zoom_factor() - scale).abs() > 0.001 {
        ctx.set_zoom_factor(scale);
    }
}

/// Sets what does not change with preferences. Once, at the start.
pub fn install(ctx: &Context) {
    // The size of text is a preference, kept with the others.
    ctx.options_mut(|options| options.zoom_with_keyboard = false);
    ctx.all_styles_mut(|style| {
        let sizes = [
            (TextStyle::Heading, 22.0, FontFamily::Proportional),
            (TextStyle::Body, 15.0, FontFamily::Proportional),
            (TextStyle::Button, 15.0, FontFamily::Proportional),
            (TextStyle::Small, 12.0, FontFamily::Proportional),
            (TextStyle::Monospace, 14.0, FontFamily::Monospace),
        ];
        style.text_styles = sizes.map(|(name, size, family)| (name, FontId::new(size, family))).into();
        style.spacing.item_spacing = vec2(8.0, 6.0);
        style.spacing.button_padding = vec2(10.0, 5.0);
        // As high as a button with its padding, so that sliders and their values stand in one line.
        style.spacing.interact_size.y = 27.0;
        style.url_in_tooltip = true;
        let corner = CornerRadius::same(6);
        let widgets = &mut style.visuals.widgets;
        for visuals in [
            &mut widgets.noninteractive,
            &mut widgets.inactive,
            &mut widgets.hovered,
            &mut widgets.active,
            &mut widgets.open,
        ] {
            visuals.corner_radius = corner;
        }
    });
    ctx.style_mut_of(egui::Theme::Light, |style| contrast(&mut style.visuals, Color32::from_gray(20)));
    ctx.style_mut_of(egui::Theme::Dark, |style| contrast(&mut style.visuals, Color32::from_gray(222)));
}

/// egui's own text is pale; this one is read without effort.
fn contrast(visuals: &mut Visuals, ink: Color32) {
    visuals.widgets.noninteractive.fg_stroke.color = ink;
    visuals.widgets.inactive.fg_stroke.color = ink;
    visuals.weak_text_alpha = 0.72;
}
