//! Many inputs: one JSON object a line in, one a line out, in order, whatever the line holds.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::entry::cli::failure::Result;

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

#[derive(serde::Deserialize)]
struct About {
    #[serde(rename = "_meta")]
    meta: Option<IgnoredAny>,
}

/// Answers each line of the standard input.
pub fn answer_all<In: DeserializeOwned, Out: Serialize>(
    answer: impl Fn(In) -> std::result::Result<Out, String>,
) -> Result {
    let input = BufReader::with_capacity(BUFFER_BYTES, io::stdin().lock());
    let output = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    Ok(answer_lines(input, output, answer)?)
}

fn answer_lines<In: DeserializeOwned, Out: Serialize>(
    mut input: BufReader<impl Read>,
    mut output: impl Write,
    answer: impl Fn(In) -> std::result::Result<Out, String>,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        // What is answered is handed over before waiting for more, so that a caller may ask line
        // by line.
        if input.buffer().is_empty() {
            output.flush()?;
        }
        line.clear();
        if input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return output.flush();
        }
        let cut = !line.ends_with(b"\n") && u64::try_from(line.len()) == Ok(LINE_BYTES_MAX);
        if cut {
            input.skip_until(b'\n')?;
            tell(&mut output, &Problem { error: "the line is too long" })?;
            continue;
        }
        let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&line);
        if is_about_the_file(text) {
            output.write_all(b"{\"_meta\":true}\n")?;
            continue;
        }
        match read(text).and_then(&answer) {
            Ok(answer) => tell(&mut output, &answer)?,
            Err(problem) => tell(&mut output, &Problem { error: &problem })?,
        }
    }
}

fn read<In: DeserializeOwned>(text: &[u8]) -> std::result::Result<In, String> {
    // The library would take an array for an object's values in order.
    match text.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(text).map_err(|error| in_words(&error)),
        Some(_) => Err("the line is no JSON object".to_owned()),
        None => Err("the line is empty".to_owned()),
    }
}

fn tell(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *output, value)?;
    output.write_all(b"\n")
}

/// Files of samples say in a line with `_meta` where they are from.
fn is_about_the_file(text: &[u8]) -> bool {
    const KEY: &[u8] = b"\"_meta\"";
    text.windows(KEY.len()).any(|window| window == KEY)
        && serde_json::from_slice::<About>(text).is_ok_and(|about| about.meta.is_some())
}

/// The library counts lines in its input, which here is one line.
fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        _ if error.is_eof() => "the line is cut off".to_owned(),
        Some((problem, _)) if error.is_data() => problem.to_owned(),
        Some((problem, _)) => format!("{problem} at column {}", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Wanted {
        n: u32,
    }

    #[derive(Serialize)]
    struct Double {
        double: u32,
    }

    fn answers(input: &[u8]) -> String {
        let mut output = Vec::new();
        let reader = BufReader::with_capacity(16, input);
        answer_lines(reader, &mut output, |wanted: Wanted| {
            let double = wanted.n.checked_mul(2).ok_or("too large")?;
            Ok(Double { double })
        })
        .expect("memory can be read and written");
        String::from_utf8(output).expect("JSON is UTF-8")
    }

    #[test]
    fn every_line_has_its_answer() {
        let input = concat!(
            "\u{feff}{\"_meta\": true, \"n\": 1}\n",
            "{\"n\": 1, \"more\": [\"_meta\"]}\r\n",
            "\n",
            "{\"n\": 4000000000}\n",
            "{\"m\": 1}\n",
            "{\"n\": 1\n",
            "[1]\n",
            "{\"n\": 1} {}\n",
            "{\"n\": 21}",
        );
        let expected = [
            r#"{"_meta":true}"#,
            r#"{"double":2}"#,
            r#"{"error":"the line is empty"}"#,
            r#"{"error":"too large"}"#,
            r#"{"error":"missing field `n`"}"#,
            r#"{"error":"the line is cut off"}"#,
            r#"{"error":"the line is no JSON object"}"#,
            r#"{"error":"trailing characters at column 10"}"#,
            r#"{"double":42}"#,
        ];
        assert_eq!(answers(input.as_bytes()).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_no_text_is_refused_and_the_next_line_is_read() {
        assert_eq!(answers(b"\xFF\xFE\n{\"n\":1}\n").lines().count(), 2);
        assert_eq!(answers(b"{\"n\":\"\\ud800\"}\n").lines().count(), 1);
        assert_eq!(answers(b""), "");
    }
}
