//! Answers of HTTP servers, as they come and as steps see them.

use serde_json::Value;

/// Where the head of an answer ends.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    end.map(|at| at + 4)
}

/// The status that an answer begins with.
pub fn status(bytes: &[u8]) -> Option<u16> {
    let line = bytes.split(|byte| *byte == b'\r').next()?;
    let mut parts = std::str::from_utf8(line).ok()?.split(' ');
    parts.next().filter(|version| version.starts_with("HTTP/"))?;
    parts.next()?.parse().ok()
}

/// Whether a whole HTTP answer is there; `None` where no Content-Length says so.
pub fn is_complete(bytes: &[u8]) -> Option<bool> {
    let end = head_end(bytes)?;
    let headers = header_lines(&bytes[..end]);
    let (_, length) = headers.iter().find(|(name, _)| name == "content-length")?;
    let length: usize = length.parse().ok()?;
    Some(end.checked_add(length).is_some_and(|whole| bytes.len() >= whole))
}

/// The headers of a head, names in lower case.
pub fn header_lines(head: &[u8]) -> Vec<(String, String)> {
    String::from_utf8_lossy(head)
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

/// Headers as an object, names in lower case; a header that came several times is a list.
pub fn header_fields(headers: &http::HeaderMap) -> Value {
    let mut fields = serde_json::Map::new();
    for name in headers.keys() {
        let mut values: Vec<Value> = headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()).into())
            .collect();
        let value = if values.len() == 1 {
            values.remove(0)
        } else {
            Value::Array(values)
        };
        fields.insert(name.as_str().to_owned(), value);
    }
    Value::Object(fields)
}
