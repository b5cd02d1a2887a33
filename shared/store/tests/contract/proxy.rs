//! A small HTTP proxy that loses, cuts, delays and falsifies as a test tells it to. One request per connection.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What happens to one request.
pub(crate) enum Fault {
    Pass,
    /// The request never arrives, and there is no answer.
    LoseRequest,
    /// The request arrives and is obeyed; its answer never arrives.
    LoseAnswer,
    /// The request never arrives, and the client waits for ever.
    Hold,
    /// The proxy answers itself.
    Answer(u16, &'static str),
    /// So many bytes of the answer's body arrive, then the connection ends.
    CutAfter(usize),
    /// So many bytes of the answer's body arrive, then nothing, for ever.
    StallAfter(usize),
    /// The request arrives without this header.
    Strip(&'static str),
}

/// What a request asks for.
pub(crate) struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
}

impl Request {
    pub(crate) fn is(&self, method: &str, part_of_target: &str) -> bool {
        self.method == method && self.target.contains(part_of_target)
    }
}

pub(crate) struct Proxy {
    pub endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Stands before `upstream` and asks `script` what to do with each request.
    pub(crate) async fn start(upstream: SocketAddr, script: impl FnMut(&Request) -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(script));
        let task = tokio::spawn({
            let seen = Arc::clone(&seen);
            async move {
                loop {
                    let (client, _) = listener.accept().await.unwrap();
                    let (seen, script) = (Arc::clone(&seen), Arc::clone(&script));
                    tokio::spawn(async move {
                        let decide = |request: &Request| {
                            seen.lock().unwrap().push(format!("{} {}", request.method, request.target));
                            (*script.lock().unwrap())(request)
                        };
                        // A connection that breaks is what this proxy is for.
                        let _ = serve(client, upstream, decide).await;
                    });
                }
            }
        });
        Self { endpoint, seen, task }
    }

    /// How many requests of this method came, whose target holds the text.
    pub(crate) fn count(&self, method: &str, part_of_target: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|line| line.starts_with(method) && line.contains(part_of_target)).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: TcpStream, upstream: SocketAddr, decide: impl FnOnce(&Request) -> Fault) -> io::Result<()> {
    let (mut head, mut body) = read_head(&mut client).await?;
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    while body.len() < length {
        if client.read_buf(&mut body).await? == 0 {
            return Ok(());
        }
    }
    let first = head.lines().next().unwrap_or_default().to_owned();
    let mut words = first.split(' ').map(ToOwned::to_owned);
    let request = Request { method: words.next().unwrap_or_default(), target: words.next().unwrap_or_default() };
    let fault = decide(&request);
    match fault {
        Fault::LoseRequest => return Ok(()),
        // Ends when the client gives up.
        Fault::Hold => return client.read_to_end(&mut Vec::new()).await.map(|_| ()),
        Fault::Answer(status, text) => {
            let length = text.len();
            let answer = format!(
                "HTTP/1.1 {status} Scripted\r\nContent-Type: application/xml\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
            );
            return client.write_all(answer.as_bytes()).await;
        }
        Fault::Strip(name) => {
            let kept = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with(&format!("{name}:")));
            head = kept.collect::<Vec<_>>().join("\r\n");
        }
        _ => {}
    }
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(head.trim_end().as_bytes()).await?;
    server.write_all(b"\r\nConnection: close\r\n\r\n").await?;
    server.write_all(&body).await?;
    let (answer, mut rest) = read_head(&mut server).await?;
    match fault {
        Fault::LoseAnswer => {
            server.read_to_end(&mut rest).await?;
            return Ok(());
        }
        Fault::CutAfter(bytes) | Fault::StallAfter(bytes) => {
            while rest.len() < bytes && server.read_buf(&mut rest).await? > 0 {}
            let whole = rest.len() < bytes;
            rest.truncate(bytes);
            client.write_all(answer.as_bytes()).await?;
            client.write_all(&rest).await?;
            if matches!(fault, Fault::StallAfter(_)) && !whole {
                // Ends when the client gives up.
                client.read_to_end(&mut Vec::new()).await?;
            }
            return Ok(());
        }
        _ => {}
    }
    client.write_all(answer.as_bytes()).await?;
    client.write_all(&rest).await?;
    tokio::io::copy(&mut server, &mut client).await?;
    Ok(())
}

/// The head, with its empty line, and what came after it.
async fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim())
}
