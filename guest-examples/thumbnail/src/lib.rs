//! Bytes in, bytes out: a picture that nobody has looked at yet becomes a small PNG.
//!
//! Decoders of pictures are large, fast and fed by strangers. Here a picture can do no more than fail its own attempt.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, ImageResult, Limits};
use sunaba_sdk::prelude::*;

/// Neither side of a thumbnail is longer; in pixels.
const MAX_SIDE: u32 = 128;
/// Neither side of a picture may be longer; in pixels.
const MAX_SOURCE_SIDE: u32 = 16_384;
/// A picture may take this much when it is decoded: 12 megapixels in colour. A progressive JPEG needs up to three times
/// as much on its way there, which is still below the handler's memory limit.
const MAX_DECODED_BYTES: u64 = 36 << 20;

/// Makes a PNG of at most 128 x 128 pixels from a PNG, JPEG or GIF. Keeps the ratio of its sides, and never enlarges.
#[handler(timeout = "30s", memory = "128MiB")]
pub fn thumbnail(input: Bytes) -> Result<Bytes, TaskError> {
    let picture = shrink(input.as_ref()).map_err(refuse)?;
    let mut png = Vec::new();
    picture.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    Ok(Bytes::new("image/png", png))
}

export!(thumbnail);

fn shrink(bytes: &[u8]) -> ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SOURCE_SIDE);
    limits.max_image_height = Some(MAX_SOURCE_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // Looked at before anything is decoded: a few bytes can claim to be a picture of gigabytes.
    limits.reserve(decoder.total_bytes())?;
    // Phones do not turn a picture, they only say how it should be turned.
    let orientation = decoder.orientation()?;
    let (width, height) = decoder.dimensions();
    log::info!("{width} x {height} pixels, {} bytes", bytes.len());

    let mut picture = DynamicImage::from_decoder(decoder)?;
    if width.max(height) > MAX_SIDE {
        picture = picture.thumbnail(MAX_SIDE, MAX_SIDE);
    }
    picture.apply_orientation(orientation);
    // Nobody sees 16 bits for a colour at this size.
    Ok(if picture.color().has_alpha() { picture.into_rgba8().into() } else { picture.into_rgb8().into() })
}

/// No retry makes a picture of what is none, or a smaller one of what is too large.
fn refuse(error: ImageError) -> TaskError {
    let (kind, message) = match error {
        ImageError::Limits(_) => {
            let mib = MAX_DECODED_BYTES >> 20;
            let limits = format!("{MAX_SOURCE_SIDE} pixels for a side, or {mib} MiB when decoded");
            ("too-large", format!("the picture is over the limit of {limits}"))
        }
        _ => ("not-an-image", format!("this is no PNG, JPEG or GIF: {error}")),
    };
    TaskError::fatal(message).with_kind(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GenericImageView, GrayImage, Rgb, RgbImage, Rgba, RgbaImage};
    use sunaba_sdk::Disposition;

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.into().write_to(&mut Cursor::new(&mut bytes), format).expect("it has a form in this format");
        bytes
    }

    fn small(bytes: Vec<u8>) -> DynamicImage {
        let png = thumbnail(bytes.into()).expect("it is a picture");
        assert_eq!(png.media_type(), "image/png");
        image::load_from_memory_with_format(png.as_ref(), ImageFormat::Png).expect("the thumbnail is a PNG")
    }

    /// The kind of a fatal failure.
    fn refused(bytes: impl Into<Vec<u8>>) -> String {
        let error = thumbnail(bytes.into().into()).expect_err("it should be refused");
        assert_eq!(error.disposition(), Disposition::Fatal, "{error}");
        error.kind().to_owned()
    }

    #[test]
    fn fits_and_keeps_the_ratio() {
        for (width, height, expected) in [
            (320, 200, (128, 80)),
            (200, 320, (80, 128)),
            (129, 129, (128, 128)),
            (1000, 20, (128, 3)),
            (1000, 1, (128, 1)),
        ] {
            let bytes = encoded(RgbImage::new(width, height), ImageFormat::Png);
            assert_eq!(small(bytes).dimensions(), expected, "{width} x {height}");
        }
    }

    #[test]
    fn small_picture_is_not_enlarged() {
        let dot = Rgba([1, 2, 3, 4]);
        let picture = small(encoded(RgbaImage::from_pixel(100, 3, dot), ImageFormat::Png));
        assert_eq!((picture.dimensions(), picture.get_pixel(99, 2)), ((100, 3), dot));
    }

    #[test]
    fn jpeg_becomes_png() {
        let picture = small(encoded(RgbImage::from_pixel(256, 128, Rgb([200, 100, 50])), ImageFormat::Jpeg));
        assert_eq!(picture.dimensions(), (128, 64));
        let Rgba([red, green, blue, alpha]) = picture.get_pixel(64, 32);
        assert!(red.abs_diff(200) < 4 && green.abs_diff(100) < 4 && blue.abs_diff(50) < 4 && alpha == 255);
    }

    #[test]
    fn gif_becomes_png_and_keeps_its_holes() {
        let hole = Rgba([0, 0, 0, 0]);
        let picture = small(encoded(RgbaImage::from_pixel(256, 256, hole), ImageFormat::Gif));
        assert_eq!((picture.dimensions(), picture.get_pixel(64, 64)), ((128, 128), hole));
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let deep = image::ImageBuffer::from_pixel(4, 4, image::Luma([0xABCD_u16]));
        let picture = small(encoded(DynamicImage::ImageLuma16(deep), ImageFormat::Png));
        assert_eq!((picture.color(), picture.get_pixel(0, 0)), (image::ColorType::Rgb8, Rgba([0xAB, 0xAB, 0xAB, 255])));
    }

    #[test]
    fn picture_is_turned_as_its_camera_says() {
        let plain = encoded(RgbImage::new(200, 100), ImageFormat::Jpeg);
        // An Exif segment whose one entry is the orientation: 6, a quarter to the right.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = [&plain[..2], exif, &plain[2..]].concat();
        assert_eq!(small(plain).dimensions(), (128, 64));
        assert_eq!(small(turned).dimensions(), (64, 128));
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert_eq!(refused(""), "not-an-image");
        assert_eq!(refused("none of the three"), "not-an-image");
        assert_eq!(refused("RIFF\0\0\0\0WEBP, which this handler was built without"), "not-an-image");
        let whole = encoded(RgbImage::new(64, 64), ImageFormat::Png);
        assert_eq!(refused(&whole[..whole.len() / 2]), "not-an-image");
    }

    #[test]
    fn length_of_a_side_obeyed_and_violated() {
        let side = MAX_SOURCE_SIDE;
        assert_eq!(small(encoded(GrayImage::new(side, 1), ImageFormat::Png)).dimensions(), (128, 1));
        assert_eq!(refused(encoded(GrayImage::new(side + 1, 1), ImageFormat::Png)), "too-large");
        assert_eq!(refused(encoded(GrayImage::new(1, side + 1), ImageFormat::Png)), "too-large");
    }

    #[test]
    fn decoded_size_obeyed_and_violated() {
        let side = MAX_DECODED_BYTES.isqrt() as u32;
        assert_eq!(u64::from(side) * u64::from(side), MAX_DECODED_BYTES);
        assert_eq!(small(encoded(GrayImage::new(side, side), ImageFormat::Png)).dimensions(), (128, 128));
        assert_eq!(refused(encoded(GrayImage::new(side, side + 1), ImageFormat::Png)), "too-large");
    }

    #[test]
    fn picture_that_claims_to_be_huge_is_refused() {
        let mut jpeg = encoded(RgbImage::new(8, 8), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|marker| marker == [0xFF, 0xC0]).expect("it has a frame");
        let mut gif = encoded(RgbImage::new(8, 8), ImageFormat::Gif);
        // The first is over the limit of a side, the other only over that of the decoded size.
        for claim in [u16::MAX, MAX_SOURCE_SIDE as u16] {
            jpeg[frame + 5..frame + 9].copy_from_slice(&[claim.to_be_bytes(), claim.to_be_bytes()].concat());
            assert_eq!(refused(&*jpeg), "too-large", "{claim}");
            gif[6..10].copy_from_slice(&[claim.to_le_bytes(), claim.to_le_bytes()].concat());
            assert_eq!(refused(&*gif), "too-large", "{claim}");
        }
    }
}
