//! Grey images as PNG files, uncompressed: as small as they are, nothing is won by packing them.

/// The most that a stored block holds, in bytes (RFC 1951).
const BLOCK: usize = 65_535;

/// An image of `width` and as many rows as `pixels` fill, from 0 (black) to 255 (white).
pub(super) fn grey(width: u32, pixels: &[u8]) -> Vec<u8> {
    let columns = (width.max(1) as usize).min(pixels.len().max(1));
    let rows = pixels.chunks(columns);
    let height = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    // Each row begins with the number of its filter: none.
    let filtered: Vec<u8> = rows.flat_map(|row| [&[0], row].concat()).collect();
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    // 8 bits a pixel, grey; the only compression, filtering and order that need no more words.
    header.extend([8, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [
        (b"IHDR", header),
        (b"IDAT", stored(&filtered)),
        (b"IEND", Vec::new()),
    ] {
        append_chunk(&mut png, kind, &content);
    }
    png
}

fn append_chunk(png: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let named = [kind.as_slice(), content].concat();
    png.extend(length.to_be_bytes());
    png.extend(&named);
    png.extend(crc32(&named).to_be_bytes());
}

/// A zlib stream of stored blocks (RFC 1950).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = bytes.len().div_ceil(BLOCK);
    for (number, block) in bytes.chunks(BLOCK).enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(number + 1 == blocks));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(bytes).to_be_bytes());
    stream
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| match crc & 1 {
        1 => (crc >> 1) ^ 0xEDB8_8320,
        _ => crc >> 1,
    };
    let fold = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), step);
    !bytes.iter().fold(u32::MAX, fold)
}

fn adler32(bytes: &[u8]) -> u32 {
    let step = |(a, b): (u32, u32), byte: &u8| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    };
    let (a, b) = bytes.iter().fold((1, 0), step);
    (b << 16) | a
}
