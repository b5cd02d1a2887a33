//! A socket that is left alone while much comes. Watched, it wakes its reader at each of the server's packets of 8 KiB; left
//! alone for a moment, it gathers many of them, and neither side is disturbed (docs/decisions/0021).

use std::{
    io::{self, Read},
    net, os,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Instant, Sleep, sleep},
};

/// After so many bytes without a word of ours between them, more will come.
const STREAM: usize = 1 << 20;

/// How long an empty socket is left alone.
const PAUSE: Duration = Duration::from_millis(1);

/// Found empty so often in a row, it is watched again.
const MOST_IN_VAIN: u32 = 4;

/// What the runtime can watch, or let go.
pub(super) trait Watchable: AsyncRead + AsyncWrite + Send + Unpin + Sized {
    type Alone: Read + Send + Unpin;

    fn let_go(self) -> io::Result<Self::Alone>;
    fn watch(alone: Self::Alone) -> io::Result<Self>;
}

impl Watchable for TcpStream {
    type Alone = net::TcpStream;

    fn let_go(self) -> io::Result<Self::Alone> {
        self.into_std()
    }

    fn watch(alone: Self::Alone) -> io::Result<Self> {
        Self::from_std(alone)
    }
}

impl Watchable for UnixStream {
    type Alone = os::unix::net::UnixStream;

    fn let_go(self) -> io::Result<Self::Alone> {
        self.into_std()
    }

    fn watch(alone: Self::Alone) -> io::Result<Self> {
        Self::from_std(alone)
    }
}

/// A socket that does not block, in one of two states.
pub(super) struct Socket<W: Watchable> {
    state: State<W>,
    /// Bytes that have come since we last wrote, or since it is watched again.
    come: usize,
}

enum State<W: Watchable> {
    Watched(W),
    Alone(Alone<W::Alone>),
    /// It could not be brought from one state to the other.
    Lost,
}

struct Alone<S> {
    socket: S,
    pause: Pin<Box<Sleep>>,
    /// It was empty: the pause has to end first.
    empty: bool,
    in_vain: u32,
}

impl<S: Read> Alone<S> {
    /// Reads once something is there; false if nothing comes.
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.empty {
                ready!(self.pause.as_mut().poll(context));
                self.empty = false;
            }
            match self.socket.read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    buffer.advance(read);
                    self.in_vain = 0;
                    return Poll::Ready(Ok(true));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.in_vain += 1;
                    if self.in_vain >= MOST_IN_VAIN {
                        return Poll::Ready(Ok(false));
                    }
                    self.pause.as_mut().reset(Instant::now() + PAUSE);
                    self.empty = true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl<W: Watchable> Socket<W> {
    pub(super) fn new(socket: W) -> Self {
        Self { state: State::Watched(socket), come: 0 }
    }

    /// The socket, watched from now on.
    fn watched(&mut self) -> io::Result<Pin<&mut W>> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Alone(alone) => {
                self.come = 0;
                State::Watched(W::watch(alone.socket)?)
            }
            other => other,
        };
        match &mut self.state {
            State::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn let_go(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Watched(socket) => {
                let (socket, pause) = (socket.let_go()?, Box::pin(sleep(PAUSE)));
                State::Alone(Alone { socket, pause, empty: false, in_vain: 0 })
            }
            other => other,
        };
        Ok(())
    }
}

impl<W: Watchable> AsyncRead for Socket<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.come >= STREAM && matches!(self.state, State::Watched(_)) {
            self.let_go()?;
        }
        if let State::Alone(alone) = &mut self.state
            && ready!(alone.poll_read(context, buffer))?
        {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(self.watched()?.poll_read(context, buffer))?;
        self.come += buffer.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl<W: Watchable> AsyncWrite for Socket<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.watched()?.poll_write(context, bytes);
        self.come = 0;
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::mpsc::{Sender, channel},
        thread::{JoinHandle, spawn},
    };

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::*;

    const PACKET: usize = 8 << 10;

    fn packet(number: usize) -> [u8; PACKET] {
        [u8::try_from(number % 251).unwrap(); PACKET]
    }

    /// A server that sends so many bytes, waits for one, sends as many again, waits to be told, sends three and closes.
    fn server(bytes: usize) -> (net::SocketAddr, Sender<()>, JoinHandle<()>) {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = channel();
        let thread = spawn(move || {
            let mut socket = listener.accept().unwrap().0;
            let packets = |socket: &mut net::TcpStream| {
                for number in 0..bytes / PACKET {
                    socket.write_all(&packet(number)).unwrap();
                }
            };
            packets(&mut socket);
            socket.read_exact(&mut [0]).unwrap();
            packets(&mut socket);
            told.recv().unwrap();
            socket.write_all(b"end").unwrap();
        });
        (address, tell, thread)
    }

    /// Reads so many bytes, which are those of the server, and says whether it was left alone meanwhile.
    async fn read(socket: &mut Socket<TcpStream>, bytes: usize) -> bool {
        let (mut come, mut alone) = (Vec::new(), false);
        let mut buffer = vec![0; 128 << 10];
        while come.len() < bytes {
            let read = socket.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0);
            come.extend_from_slice(&buffer[..read]);
            alone |= matches!(socket.state, State::Alone(_));
        }
        assert_eq!(come.len(), bytes);
        assert!(come.chunks(PACKET).enumerate().all(|(number, part)| part == packet(number)));
        alone
    }

    #[tokio::test]
    async fn what_streams_gathers_while_it_is_left_alone_and_an_answer_is_waited_for() {
        const BYTES: usize = 64 << 20;
        let (address, tell, server) = server(BYTES);
        let mut socket = Socket::new(TcpStream::connect(address).await.unwrap());
        assert!(read(&mut socket, BYTES).await);
        socket.write_all(b"!").await.unwrap();
        assert!(matches!(socket.state, State::Watched(_)) && socket.come == 0);
        assert!(read(&mut socket, BYTES).await);
        while matches!(socket.state, State::Alone(_)) {
            assert!(timeout(PAUSE, socket.read_u8()).await.is_err(), "there is nothing to read");
        }
        tell.send(()).unwrap();
        let mut end = Vec::new();
        socket.read_to_end(&mut end).await.unwrap();
        assert_eq!(end, b"end");
        server.join().unwrap();
    }

    #[tokio::test]
    async fn little_at_a_time_is_never_left_alone() {
        let (address, tell, server) = server(STREAM - PACKET);
        let mut socket = Socket::new(TcpStream::connect(address).await.unwrap());
        assert!(!read(&mut socket, STREAM - PACKET).await);
        socket.write_all(b"!").await.unwrap();
        assert!(!read(&mut socket, STREAM - PACKET).await);
        tell.send(()).unwrap();
        let mut end = Vec::new();
        socket.read_to_end(&mut end).await.unwrap();
        server.join().unwrap();
    }
}
