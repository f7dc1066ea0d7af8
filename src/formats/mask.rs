//! Masks in PNG files: the one that a label has, and the one that a prediction is.

use std::{fs::File, io::BufReader};

use base64::{Engine, prelude::BASE64_STANDARD};
use png::{BitDepth, ColorType, Decoder, Encoder, Limits, Transformations};

use super::{Size, bitmap::Bitmap};

/// What a decoder may hold beside its rows, in bytes.
const MOST_MEMORY: usize = 64 << 20;

/// Why a file is no mask.
#[derive(Debug, thiserror::Error)]
pub(super) enum MaskError {
    #[error("{0}")]
    Png(#[from] png::DecodingError),
    #[error("it is too large")]
    TooLarge,
}

/// Reads a mask: what is neither black nor transparent belongs to the object.
pub(super) fn read(file: File) -> Result<Bitmap, MaskError> {
    let limits = Limits { bytes: MOST_MEMORY };
    let mut decoder = Decoder::new_with_limits(BufReader::new(file), limits);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info()?;
    let info = reader.info();
    let (size, interlaced) = (
        Size {
            width: info.width,
            height: info.height,
        },
        info.interlaced,
    );
    let mut mask = Bitmap::new(size).ok_or(MaskError::TooLarge)?;
    let (colour, depth) = reader.output_color_type();
    let pixel = Pixel {
        bytes: colour.samples() * if depth == BitDepth::Sixteen { 2 } else { 1 },
        alpha: matches!(colour, ColorType::GrayscaleAlpha | ColorType::Rgba),
        samples: colour.samples(),
    };
    if interlaced {
        let length = reader
            .output_buffer_size()
            .filter(|length| *length <= MOST_MEMORY);
        let mut pixels = vec![0; length.ok_or(MaskError::TooLarge)?];
        let frame = reader.next_frame(&mut pixels)?;
        for (y, row) in (0..size.height).zip(pixels.chunks(frame.line_size.max(1))) {
            add_row(&mut mask, y, row, pixel);
        }
    } else {
        for y in 0..size.height {
            let Some(row) = reader.next_row()? else { break };
            add_row(&mut mask, y, row.data(), pixel);
        }
    }
    Ok(mask)
}

/// How a pixel lies in a row.
#[derive(Debug, Clone, Copy)]
struct Pixel {
    bytes: usize,
    samples: usize,
    /// Whether its last sample says how much of it is seen.
    alpha: bool,
}

/// A sample of two bytes is above zero as soon as one of them is.
fn add_row(mask: &mut Bitmap, y: u32, row: &[u8], pixel: Pixel) {
    let colours = match pixel.alpha {
        true => pixel.bytes - pixel.bytes / pixel.samples,
        false => pixel.bytes,
    };
    let is_set = |samples: &[u8]| samples.iter().any(|byte| *byte > 0);
    for (x, bytes) in (0..mask.size().width).zip(row.chunks(pixel.bytes)) {
        let (colour, alpha) = bytes.split_at(colours.min(bytes.len()));
        if is_set(colour) && (!pixel.alpha || is_set(alpha)) {
            mask.add(x, y);
        }
    }
}

/// A mask as a prediction holds it: a grey PNG of zeros and ones, in base64 (captured from labelbox 7.17.0).
pub(super) fn to_base64(mask: &Bitmap) -> Result<String, png::EncodingError> {
    let Size { width, height } = mask.size();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let mut pixels = writer.stream_writer()?;
    let mut row = Vec::new();
    for y in 0..i64::from(height) {
        row.clear();
        row.extend((0..i64::from(width)).map(|x| u8::from(mask.has(x, y))));
        std::io::Write::write_all(&mut pixels, &row)?;
    }
    pixels.finish()?;
    writer.finish()?;
    Ok(BASE64_STANDARD.encode(file))
}
