//! Sheets: CSV as people's programs write and read it.
//!
//! What comes in may begin with a byte order mark and end its lines in any way. What goes out holds
//! no cell that a spreadsheet would run as a formula.

/// Reads a file as CSV, with or without a byte order mark.
pub fn reader(file: &[u8]) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().flexible(true).from_reader(without_mark(file))
}

/// The file without its byte order mark.
pub fn without_mark(file: &[u8]) -> &[u8] {
    file.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(file)
}

/// The line a row begins in. The library stops before the rest of a line's end and before empty
/// lines, and counts them only when it reads on.
pub fn line_of(file: &[u8], position: &csv::Position) -> u64 {
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = file.get(at..).unwrap_or_default();
    let ends = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let skipped = ends.filter(|byte| **byte == b'\n').count();
    position.line() + u64::try_from(skipped).unwrap_or(0)
}

/// A cell that no spreadsheet runs as a formula.
pub fn harmless(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// A sheet being written.
pub struct Sheet(csv::Writer<Vec<u8>>);

impl Sheet {
    /// A sheet with these columns.
    pub fn new(columns: &[&str]) -> Self {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        writer.write_record(columns).expect("writing to memory");
        Self(writer)
    }

    /// Adds a row. Numbers stay numbers, whatever sign they bear; every other cell is made
    /// harmless.
    pub fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter().map(|cell| match cell.as_ref() {
            number if is_number(number) => number.to_owned(),
            text => harmless(text),
        });
        self.0.write_record(cells).expect("writing to memory");
    }

    /// The sheet as a text.
    pub fn text(self) -> String {
        let bytes = self.0.into_inner().expect("writing to memory");
        String::from_utf8(bytes).expect("texts are UTF-8")
    }
}

fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain(whole) && plain(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_numbers_and_nothing_becomes_a_formula() {
        for (cell, written) in [
            ("12", "12"),
            ("-12", "-12"),
            ("+44", "+44"),
            ("-0.0079", "-0.0079"),
            ("+", "'+"),
            ("-1+1", "'-1+1"),
            ("=1+1", "'=1+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("Spring, sale", "\"Spring, sale\""),
            ("-", "'-"),
            ("-.5", "'-.5"),
        ] {
            let mut sheet = Sheet::new(&["a"]);
            sheet.row([cell]);
            assert_eq!(sheet.text(), format!("a\n{written}\n"), "{cell:?}");
        }
    }
}
