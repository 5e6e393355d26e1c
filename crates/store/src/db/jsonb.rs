//! SQLite's binary JSON, as far as batches need it: arrays of numbers, texts and nulls. It is
//! written instead of a text that SQLite would turn into it. The form is described on
//! <https://sqlite.org/jsonb.html>: each element has a header, which is its kind and the size of
//! what follows; numbers are digits, texts stand as they are.

const NULL: u8 = 0;
const INT: u8 = 3;
const TEXT: u8 = 10;
const ARRAY: u8 = 11;

/// Sizes up to this one stand in the header's first byte.
const SIZE_INSIDE_MAX: usize = 11;

/// Where an array began whose size is not known yet.
#[derive(Clone, Copy)]
pub(super) struct Open(usize);

/// Begins an array.
pub(super) fn open(out: &mut Vec<u8>) -> Open {
    let at = out.len();
    out.extend([0xe0 | ARRAY, 0, 0, 0, 0]);
    Open(at)
}

/// Ends it.
pub(super) fn close(out: &mut [u8], array: Open) {
    let body = array.0 + 5;
    let size = u32::try_from(out.len() - body).expect("a batch is far smaller than 4 GB");
    out[array.0 + 1..body].copy_from_slice(&size.to_be_bytes());
}

pub(super) fn push_null(out: &mut Vec<u8>) {
    out.push(NULL);
}

pub(super) fn push_int(out: &mut Vec<u8>, value: i64) {
    use std::io::Write as _;
    let at = out.len();
    out.push(0);
    write!(out, "{value}").expect("writing to a Vec");
    let size = out.len() - at - 1;
    if size <= SIZE_INSIDE_MAX {
        out[at] = header(size, INT);
    } else {
        // The largest has twenty digits.
        out[at] = 0xc0 | INT;
        out.insert(at + 1, u8::try_from(size).unwrap_or(u8::MAX));
    }
}

pub(super) fn push_text(out: &mut Vec<u8>, value: &str) {
    let size = value.len();
    if size <= SIZE_INSIDE_MAX {
        out.push(header(size, TEXT));
    } else if let Ok(size) = u8::try_from(size) {
        out.extend([0xc0 | TEXT, size]);
    } else if let Ok(size) = u16::try_from(size) {
        out.push(0xd0 | TEXT);
        out.extend(size.to_be_bytes());
    } else {
        let size = u32::try_from(size).expect("a text is far smaller than 4 GB");
        out.push(0xe0 | TEXT);
        out.extend(size.to_be_bytes());
    }
    out.extend(value.as_bytes());
}

fn header(size: usize, kind: u8) -> u8 {
    u8::try_from(size).unwrap_or(0) << 4 | kind
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_a_kind_a_size_and_what_follows() {
        let mut out = Vec::new();
        let array = open(&mut out);
        push_null(&mut out);
        push_int(&mut out, -7);
        push_int(&mut out, 123_456_789_012);
        push_text(&mut out, "a\"b");
        close(&mut out, array);
        let wanted =
            [&[0xeb, 0, 0, 0, 22, 0x00][..], b"\x23-7", b"\xc3\x0c123456789012", b"\x3aa\"b"];
        assert_eq!(out, wanted.concat());
        for (size, head) in [
            (11, &[0xba][..]),
            (12, &[0xca, 12]),
            (255, &[0xca, 255]),
            (256, &[0xda, 1, 0]),
            (65_536, &[0xea, 0, 1, 0, 0]),
        ] {
            let mut out = Vec::new();
            push_text(&mut out, &"x".repeat(size));
            assert_eq!((&out[..head.len()], out.len()), (head, head.len() + size));
        }
    }
}
