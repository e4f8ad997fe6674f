//! Whether a JPEG is all there.
//!
//! The decoder paints the missing rest of a cut-off file grey and reports success; the model would answer questions
//! about the grey. Pillow refuses such a file, and so does this runtime: after the first scan header the
//! end-of-image marker must follow (ITU T.81, B.1.1). Inside the scan a data byte 0xFF is always stuffed with a zero,
//! so the marker found there is the real one, not a thumbnail's.

/// End of image.
const EOI: u8 = 0xd9;
/// Start of scan.
const SOS: u8 = 0xda;

/// Whether the end-of-image marker follows the first scan.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    // Each turn passes a marker or a fill byte, so this ends with the file.
    while let Some(&[0xff, marker]) = bytes.get(at..at + 2) {
        match marker {
            SOS => return bytes[at..].windows(2).any(|pair| pair == [0xff, EOI]),
            0xff => at += 1,
            0x01 | 0xd0..=0xd8 => at += 2,
            _ => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_marker_of_a_thumbnail_does_not_count() {
        // Start of image; a comment that holds an end-of-image marker; a scan.
        let mut file = vec![0xff, 0xd8, 0xff, 0xfe, 0, 6, 0xff, EOI, 0, 0, 0xff, SOS, 0, 2, 1, 2, 3];
        assert!(!is_complete(&file));
        file.extend([0xff, EOI]);
        assert!(is_complete(&file));
    }

    #[test]
    fn every_cut_is_noticed() {
        let file = [0xff, 0xd8, 0xff, 0xfe, 0, 3, 9, 0xff, 0xff, SOS, 0, 2, 1, 0xff, 0, 2, 0xff, EOI];
        assert!(is_complete(&file));
        for length in 0..file.len() {
            assert!(!is_complete(&file[..length]), "{length} bytes");
        }
    }
}
