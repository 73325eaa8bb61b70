//! The checksum of POSIX `cksum`, which every host has.

/// The polynomial of ISO 8802-3, highest bit first.
const POLYNOMIAL: u32 = 0x04c1_1db7;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut value = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 << 31 == 0 { value << 1 } else { value << 1 ^ POLYNOMIAL };
            bit += 1;
        }
        table[i] = value;
        i += 1;
    }
    table
};

/// A checksum in the making.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cksum {
    crc: u32,
    length: u64,
}

impl Cksum {
    /// Adds bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc = bytes.iter().fold(self.crc, |crc, byte| step(crc, *byte));
    }

    /// The line that `cksum` prints for its standard input: `CRC LENGTH`.
    pub(super) fn line(self) -> String {
        // The length follows the bytes, lowest byte first, without leading zeros.
        let bytes = self.length.to_le_bytes();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let crc = bytes[..used].iter().fold(self.crc, |crc, byte| step(crc, *byte));
        format!("{} {}", !crc, self.length)
    }
}

const fn step(crc: u32, byte: u8) -> u32 {
    crc << 8 ^ TABLE[(crc >> 24) as usize ^ byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_agrees_with_the_program() {
        for (text, line) in [("", "4294967295 0"), ("123456789", "930766865 9"), ("a\n", "2418082923 2")] {
            let mut sum = Cksum::default();
            sum.update(text.as_bytes());
            assert_eq!(sum.line(), line, "{text:?}");
        }
    }
}
