//! Pictures of a guest's screen as PNG.

use crate::model::Fault;

/// A picture as PNG.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// In dots.
    pub(super) width: u32,
    /// In dots.
    pub(super) height: u32,
    /// The file's contents.
    pub(super) png: Vec<u8>,
}

impl Picture {
    /// From what a hypervisor gives: PNG as it is, or the plain pixels of a PPM, which QEMU writes.
    pub(super) fn of(kind: &str, bytes: &[u8]) -> Result<Self, Fault> {
        let bad = |why: String| {
            Fault::new(
                "screenshot_format",
                format!("the picture of the screen ({kind}) cannot be read: {why}"),
            )
        };
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info();
            let reader = reader.map_err(|error| bad(error.to_string()))?;
            let info = reader.info();
            return Ok(Self { width: info.width, height: info.height, png: bytes.to_vec() });
        }
        let (width, height, pixels) =
            ppm(bytes).ok_or_else(|| bad("it is neither PNG nor PPM".to_owned()))?;
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
        written.map_err(|error| bad(error.to_string()))?;
        Ok(Self { width, height, png: file })
    }
}

/// A binary PPM with a byte a colour (ppm(5)): width, height, pixels.
fn ppm(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut numbers = [0_u32; 3];
    for number in &mut numbers {
        loop {
            rest = rest.trim_ascii_start();
            let Some(comment) = rest.strip_prefix(b"#") else { break };
            rest = &comment[comment.iter().position(|byte| *byte == b'\n')?..];
        }
        let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        *number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
        rest = &rest[end..];
    }
    let [width, height, depth] = numbers;
    // One blank, and then the pixels.
    let pixels = rest.get(1..)?;
    let wanted = usize::try_from(width).ok()?.checked_mul(usize::try_from(height).ok()?)?.checked_mul(3)?;
    (depth == 255 && wanted > 0).then_some(())?;
    Some((width, height, pixels.get(..wanted)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pixels(png: &[u8]) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info().unwrap();
        let mut out = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut out).unwrap();
        out.truncate(frame.buffer_size());
        out
    }

    #[test]
    fn a_ppm_becomes_the_same_picture_as_png_and_a_png_stays() {
        let dots = [255, 0, 0, 0, 255, 0];
        let ppm = [b"P6\n# by QEMU\n2 1\n255\n".as_slice(), &dots].concat();
        let picture = Picture::of("image/x-portable-pixmap", &ppm).unwrap();
        assert_eq!((picture.width, picture.height, pixels(&picture.png)), (2, 1, dots.to_vec()));
        assert_eq!(Picture::of("image/png", &picture.png).unwrap(), picture);
    }

    #[test]
    fn what_is_cut_short_or_no_picture_is_an_error() {
        for bad in
            ["", "P6", "P6 2 1 255 ab", "P6 0 0 255 ", "P6 4294967295 4294967295 255 x", "P5 1 1 255 a"]
        {
            assert_eq!(Picture::of("x", bad.as_bytes()).unwrap_err().code, "screenshot_format", "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Picture::of("x", &bytes);
            let _ = Picture::of("x", &[b"P6 ".as_slice(), &bytes].concat());
            let _ = Picture::of("x", &[b"\x89PNG\r\n\x1a\n".as_slice(), &bytes].concat());
        }
    }
}
