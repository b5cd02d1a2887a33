//! One plain HTTP request to a server of this machine, on a connection of its own.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The body, whole.
    pub body: Vec<u8>,
    head: String,
}

impl Answer {
    /// A header's value; names in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and reads the whole answer; each read may take `limit`.
pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    limit: Duration,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut sent = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n").into_bytes();
    for (name, value) in headers {
        write!(sent, "{name}: {value}\r\n")?;
    }
    write!(sent, "Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    sent.extend_from_slice(body);
    stream.write_all(&sent)?;
    let mut whole = Vec::new();
    stream.read_to_end(&mut whole)?;
    parse(&whole).ok_or_else(|| io::Error::other("the answer is no HTTP"))
}

/// What may be asked again is asked three times at most: a busy server closes a connection without an answer now and then.
pub fn again<T, E>(ask: impl Fn() -> Result<T, E>) -> Result<T, E> {
    ask().or_else(|_| ask()).or_else(|_| ask())
}

fn parse(whole: &[u8]) -> Option<Answer> {
    let end = whole.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&whole[..end]).ok()?.to_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, body: whole[end + 4..].to_vec(), head };
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        answer.body = joined(&answer.body)?;
    }
    Some(answer)
}

/// The chunks of a chunked body; `None` where it was cut off.
fn joined(mut chunked: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunked.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(&chunked[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let start = line + 2;
        body.extend_from_slice(chunked.get(start..start + size)?);
        chunked = chunked.get(start + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_body_in_chunks_is_put_together() {
        let answer =
            parse(b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n");
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (202, "abcd"));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_none() {
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-").is_none());
        assert!(parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").is_none());
    }

    #[test]
    fn a_header_is_found_whatever_its_case() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\n\r\n{}").unwrap();
        assert_eq!(answer.header("x-amz-function-error"), Some("Unhandled"));
        assert_eq!(answer.header("x-amz"), None);
    }
}
