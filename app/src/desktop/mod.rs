//! The desktop shell: a window, dialogs, files.
