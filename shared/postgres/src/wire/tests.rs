//! The client against a scripted server: every message whole, cut anywhere, or made of anything.

mod copy_in;
mod fuzz;
mod proof;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use proptest::{collection::vec, prelude::*};
use secrecy::SecretString;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadBuf},
    runtime::{Builder, Runtime},
};

use super::{
    start::{Login, start},
    *,
};

/// Long enough for everything but two sides that wait for each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server sends, in pieces of at most `piece` bytes, whatever it is asked; then it closes.
struct Script {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
    /// Whether it keeps its client waiting at every other turn, so that this one gets a word in.
    hesitates: bool,
    waits: bool,
    said: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

impl Script {
    fn new(bytes: Vec<u8>, piece: usize) -> Self {
        Self { bytes, at: 0, piece, hesitates: false, waits: false, said: Arc::default(), dropped: Arc::default() }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.waits = self.hesitates && !self.waits;
        if self.waits {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let end = self.bytes.len().min(self.at + self.piece.min(buffer.remaining()));
        buffer.put_slice(&self.bytes[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.said.fetch_add(bytes.len(), Ordering::Relaxed);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A server that hears its client out before it answers.
struct Server<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// The next message: its tag and its body.
    async fn hears(&mut self) -> (u8, Vec<u8>) {
        let tag = self.0.read_u8().await.unwrap();
        (tag, self.hears_untagged().await)
    }

    /// A message as the first one of a session is.
    async fn hears_untagged(&mut self) -> Vec<u8> {
        let mut body = vec![0; usize::try_from(self.0.read_i32().await.unwrap()).unwrap() - 4];
        self.0.read_exact(&mut body).await.unwrap();
        body
    }

    async fn says(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }
}

fn session(bytes: Vec<u8>, piece: usize) -> WireSession {
    session_on(Script::new(bytes, piece))
}

fn session_on(transport: impl Transport + 'static) -> WireSession {
    WireSession { frames: Some(Frames::new(Box::new(transport))), bytes: false }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = i32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        let length = field.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(field.unwrap_or_default());
    }
    message(b'D', &body)
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn refusal() -> Vec<u8> {
    message(b'E', b"SERROR\0C55P03\0Mcould not obtain lock\0Dt\xe4ble\0\0")
}

fn notice() -> Vec<u8> {
    message(b'N', b"SWARNING\0C01000\0Mbeware\0\0")
}

/// An answer to a COPY of these rows, a notice after each.
fn copied(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = message(b'H', &[0, 0, 0]);
    for row in rows {
        bytes.extend(message(b'd', row));
        bytes.extend(notice());
    }
    let tag = format!("COPY {}\0", rows.len());
    [bytes, message(b'c', b""), message(b'C', tag.as_bytes()), ready()].concat()
}

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

fn run<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.with(|runtime| runtime.block_on(future))
}

async fn read_copy(session: &mut WireSession) -> Result<(Vec<u8>, Option<u64>), WireError> {
    let mut copy = session.copy_out("COPY t TO STDOUT").await?;
    let mut all = Vec::new();
    while let Some(block) = copy.next_block().await? {
        assert!(!block.is_empty() && block.len() <= 256 << 10);
        all.extend_from_slice(block);
    }
    Ok((all, copy.rows()))
}

#[test]
fn rows_come_as_bytes_and_a_refusal_leaves_the_session_open() {
    let first = [message(b'T', &[0, 0]), row(&[Some(b"\xe4"), None, Some(b"7"), Some(b"t")])].concat();
    let all = [first, notice(), message(b'C', b"SELECT 1\0"), ready(), refusal(), ready(), ready()].concat();
    let mut session = session(all, 3);
    run(async {
        let row = session.query_one("SELECT").await.unwrap();
        assert_eq!((row.bytes(0), row.bytes(1), row.bytes(4)), (Some(&b"\xe4"[..]), None, None));
        assert_eq!((row.text(0).as_ref(), row.some_text(1)), (r"\xe4", None));
        assert_eq!((row.number::<u32>(2).unwrap(), row.is_true(3), row.is_true(1)), (7, true, false));
        assert!(matches!(row.number::<u32>(0), Err(WireError::Protocol(_))));
        let refused = session.query("LOCK").await.err().unwrap();
        assert_eq!(refused.to_string(), "could not obtain lock (t\u{fffd}ble) [SQLSTATE 55P03]");
        assert!(!session.is_closed());
        session.execute("ROLLBACK").await.unwrap();
        assert!(matches!(session.execute("SELECT 1").await, Err(WireError::Closed)));
        assert!(session.is_closed());
    });
}

#[test]
fn a_server_that_says_why_it_ends_the_session_is_heard() {
    let mut session = session(refusal(), 100);
    let error = run(session.execute("SELECT 1")).unwrap_err();
    assert!(matches!(error, WireError::Refused { .. }), "{error}");
    assert!(session.is_closed());
}

#[test]
fn a_statement_with_a_nul_is_not_sent() {
    let mut session = session(ready(), 100);
    assert!(matches!(run(session.execute("SELECT 1\0; DROP TABLE t")), Err(WireError::Protocol(_))));
}

#[test]
fn what_is_dropped_before_its_end_closes_the_socket_at_once() {
    for so_much in [0, 1] {
        let script = Script::new(copied(&vec![vec![b'x'; 300 << 10]; 3]), 1 << 20);
        let dropped = Arc::clone(&script.dropped);
        let mut session = session_on(script);
        run(async {
            let mut copy = session.copy_out("COPY t TO STDOUT").await.unwrap();
            for _ in 0..so_much {
                copy.next_block().await.unwrap().unwrap();
            }
            assert!(!dropped.load(Ordering::Relaxed));
            drop(copy);
            assert!(dropped.load(Ordering::Relaxed) && session.is_closed());
        });
    }
}

#[test]
fn lengths_that_no_message_has_are_not_believed() {
    let claims =
        [[b'D', 0x7f, 0xff, 0xff, 0xff], [b'E', 0x7f, 0xff, 0xff, 0xff], [b'D', 0, 0, 0, 3], [b'Z', 0x80, 0, 0, 0]];
    for claim in claims {
        let mut session = session(claim.to_vec(), 5);
        assert!(matches!(run(session.query("SELECT 1")), Err(WireError::Protocol(_))), "{claim:?}");
        assert!(session.is_closed());
    }
    // A COPY may announce a gigabyte: no more is held than comes.
    let bytes = [message(b'H', &[0, 0, 0]), vec![b'd', 0x3f, 0xff, 0xff, 0xff, b'a']].concat();
    let mut session = session(bytes, 100);
    assert!(matches!(run(read_copy(&mut session)), Err(WireError::Closed)));
}

fn login(password: Option<&SecretString>, secret: bool) -> Login<'_> {
    Login { user: "ann", database: "d", application_name: "test", password, channel_binding: None, secret }
}

#[test]
fn a_password_in_clear_text_is_given_only_where_nobody_listens() {
    let password = SecretString::from("hunter2");
    let clear = message(b'R', &[0, 0, 0, 3]);
    let opened =
        [message(b'R', &[0; 4]), message(b'S', b"server_encoding\0SQL_ASCII\0"), message(b'K', &[0; 8]), ready()];
    let all = [clear, opened.concat()].concat();
    let start_with = |login: Login<'_>| {
        let script = Script::new(all.clone(), 7);
        let said = Arc::clone(&script.said);
        (run(start(&mut Frames::new(script), &login)), said.load(Ordering::Relaxed))
    };
    let (encoding, said) = start_with(login(Some(&password), true));
    assert_eq!(encoding.unwrap().as_deref(), Some("SQL_ASCII"));
    let (refused, less) = start_with(login(Some(&password), false));
    assert!(matches!(refused, Err(WireError::Authentication(_))));
    assert_eq!(said - less, "hunter2".len() + 6, "the password was sent");
    let (missing, _) = start_with(login(None, true));
    assert!(missing.unwrap_err().to_string().contains("password missing"));
}

#[test]
fn a_server_that_does_not_prove_itself_is_not_trusted() {
    let password = SecretString::from("hunter2");
    let offer = message(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0");
    // It skips the exchange, says a nonce of its own, or offers what nobody knows.
    for answer in [
        [offer.clone(), message(b'R', &[0; 4])].concat(),
        [offer, message(b'R', b"\0\0\0\x0br=other,s=c2FsdA==,i=4096")].concat(),
        message(b'R', b"\0\0\0\x0aSCRAM-SHA-1\0\0"),
    ] {
        let mut frames = Frames::new(Script::new([answer, ready()].concat(), 100));
        assert!(run(start(&mut frames, &login(Some(&password), true))).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_copy_comes_whole_in_any_pieces_and_cut_off_it_fails(
        rows in vec(vec(any::<u8>(), 0..2000), 0..20), piece in 1_usize..5000, cut: prop::sample::Index
    ) {
        let bytes = copied(&rows);
        run(async {
            let mut session = session(bytes.clone(), piece);
            let (all, count) = read_copy(&mut session).await.unwrap();
            assert_eq!((all, count), (rows.concat(), Some(rows.len() as u64)));
            assert!(!session.is_closed());
        });
        let mut session = session(bytes[..cut.index(bytes.len())].to_vec(), piece);
        prop_assert!(run(read_copy(&mut session)).is_err());
        prop_assert!(session.is_closed());
    }
}
