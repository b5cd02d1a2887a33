//! A socket that is left alone while much comes. Watched, it wakes its reader at each of the server's packets of 8 KiB; left
//! alone for a moment, it gathers many of them, and neither side is disturbed (docs/decisions/0021).

use std::{
    io::{self, IoSlice, Read},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::coop,
    time::{Instant, Sleep, sleep},
};

/// After so many bytes without a word of ours between them, more will come.
const STREAM: usize = 1 << 20;

/// What comes in a pause must leave most of the room that the system keeps for it, or the server would be waiting for the
/// pause to end. The system makes more room while much comes.
const MOST_OF_ROOM: usize = 4;

/// How long an empty socket is left alone; the runtime's clock makes up to twice that of it.
const PAUSE: Duration = Duration::from_millis(1);

/// Found empty so often in a row, it is watched again.
const MOST_IN_VAIN: u32 = 4;

/// A socket that does not block.
pub(super) struct Socket {
    state: State,
    /// Bytes that have come since we last wrote, or since it is watched again.
    come: usize,
}

enum State {
    Watched(TcpStream),
    Alone(Alone),
    /// It could not be brought from one state to the other.
    Lost,
}

struct Alone {
    socket: std::net::TcpStream,
    pause: Pin<Box<Sleep>>,
    /// It was empty: the pause has to end first.
    empty: bool,
    /// Bytes that have come since the pause.
    gathered: usize,
    /// Pauses in a row in which nothing came.
    in_vain: u32,
}

impl Alone {
    /// Reads once something is there; false if it has to be watched: nothing comes, or too much for a pause.
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.empty {
                ready!(self.pause.as_mut().poll(context));
                self.empty = false;
            }
            // A socket that is never empty has to let others have their turn, as a watched one does.
            let turn = ready!(coop::poll_proceed(context));
            match self.socket.read(buffer.initialize_unfilled()) {
                Ok(read) => {
                    turn.made_progress();
                    buffer.advance(read);
                    self.gathered += read;
                    return Poll::Ready(Ok(true));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let gathered = std::mem::take(&mut self.gathered);
                    self.in_vain = if gathered > 0 { 0 } else { self.in_vain + 1 };
                    let room = SockRef::from(&self.socket).recv_buffer_size()?;
                    if self.in_vain >= MOST_IN_VAIN || gathered > room / MOST_OF_ROOM {
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

impl Socket {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { state: State::Watched(socket), come: 0 }
    }

    /// The socket, watched from now on. Who waited for the end of a pause is told to ask again.
    fn watched(&mut self, context: &Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Alone(alone) => {
                context.waker().wake_by_ref();
                State::Watched(TcpStream::from_std(alone.socket)?)
            }
            other => other,
        };
        match &mut self.state {
            State::Watched(socket) => Ok(Pin::new(socket)),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(self.watched(context)?, context);
        self.come = 0;
        written
    }

    fn let_go(&mut self) -> io::Result<()> {
        self.come = 0;
        self.state = match std::mem::replace(&mut self.state, State::Lost) {
            State::Watched(socket) => {
                let (socket, pause) = (socket.into_std()?, Box::pin(sleep(PAUSE)));
                State::Alone(Alone { socket, pause, empty: false, gathered: 0, in_vain: 0 })
            }
            other => other,
        };
        Ok(())
    }
}

impl AsyncRead for Socket {
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
        ready!(self.watched(context)?.poll_read(context, buffer))?;
        self.come += buffer.filled().len() - before;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(context, |socket, context| socket.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |socket, context| socket.poll_write_vectored(context, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(context)?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watched(context)?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::Write,
        net,
        sync::mpsc::{Sender, channel},
        thread::{JoinHandle, spawn},
    };

    use futures_util::FutureExt;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    use super::*;

    const PACKET: usize = 8 << 10;

    /// More than enough to be left alone.
    const MUCH: usize = 16 << 20;

    fn packet(number: usize) -> [u8; PACKET] {
        [u8::try_from(number % 251).unwrap(); PACKET]
    }

    fn send(socket: &mut net::TcpStream, packets: usize) {
        for number in 0..packets {
            socket.write_all(&packet(number)).unwrap();
        }
    }

    /// A server that sends so many bytes, waits for one, sends as many again, waits to be told, sends three and closes.
    fn server(bytes: usize) -> (net::SocketAddr, Sender<()>, JoinHandle<()>) {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, told) = channel();
        let thread = spawn(move || {
            let mut socket = listener.accept().unwrap().0;
            send(&mut socket, bytes / PACKET);
            socket.read_exact(&mut [0]).unwrap();
            send(&mut socket, bytes / PACKET);
            told.recv().unwrap();
            socket.write_all(b"end").unwrap();
        });
        (address, tell, thread)
    }

    /// Reads so many bytes, which are those of the server, and says whether it was left alone meanwhile.
    async fn read(socket: &mut Socket, bytes: usize) -> bool {
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
    async fn what_streams_is_left_alone_and_an_answer_is_waited_for() {
        let (address, tell, server) = server(MUCH);
        let mut socket = Socket::new(TcpStream::connect(address).await.unwrap());
        assert!(read(&mut socket, MUCH).await);
        socket.write_all(b"!").await.unwrap();
        assert!(matches!(socket.state, State::Watched(_)) && socket.come == 0);
        assert!(read(&mut socket, MUCH).await);
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

    /// A socket that is left alone, and the other end of it; `full`: which takes nothing more.
    async fn alone(full: bool) -> (Socket, net::TcpStream) {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Socket::new(own);
        while full && timeout(PAUSE * 10, socket.write_all(&[0; PACKET])).await.is_ok() {}
        socket.let_go().unwrap();
        (socket, listener.accept().unwrap().0)
    }

    #[tokio::test]
    async fn what_comes_in_a_pause_is_read_after_it() {
        let (mut socket, mut other) = alone(false).await;
        let mut buffer = [0; 2 * PACKET];
        tokio::time::pause();
        assert!(socket.read(&mut buffer).now_or_never().is_none());
        send(&mut other, 1);
        assert!(socket.read(&mut buffer).now_or_never().is_none());
        tokio::time::advance(2 * PAUSE).await;
        assert_eq!(socket.read(&mut buffer).now_or_never().unwrap().unwrap(), PACKET);
    }

    fn room(socket: &Socket) -> usize {
        match &socket.state {
            State::Watched(socket) => SockRef::from(socket).recv_buffer_size().unwrap(),
            State::Alone(alone) => SockRef::from(&alone.socket).recv_buffer_size().unwrap(),
            State::Lost => 0,
        }
    }

    #[tokio::test]
    async fn what_has_no_room_in_a_pause_is_waited_for() {
        let (mut socket, mut other) = alone(false).await;
        send(&mut other, room(&socket) / MOST_OF_ROOM / PACKET + 1);
        let mut buffer = vec![0; room(&socket)];
        let read = socket.read(&mut buffer).await.unwrap();
        assert!(socket.read(&mut buffer).now_or_never().is_none());
        let too_much = read > room(&socket) / MOST_OF_ROOM;
        assert_eq!(matches!(socket.state, State::Watched(_)), too_much, "{read} bytes");
    }

    #[tokio::test]
    async fn an_end_is_heard_while_it_is_left_alone() {
        let (mut socket, mut other) = alone(false).await;
        other.write_all(b"end").unwrap();
        drop(other);
        let mut end = Vec::new();
        socket.read_to_end(&mut end).await.unwrap();
        assert_eq!(end, b"end");
        assert!(matches!(socket.state, State::Alone(_)));
    }

    #[tokio::test]
    async fn who_always_finds_something_lets_others_have_their_turn() {
        let (mut socket, mut other) = alone(false).await;
        send(&mut other, 1);
        let other_task = tokio::spawn(async {});
        for _ in 0..PACKET {
            socket.read_u8().await.unwrap();
        }
        assert!(other_task.is_finished());
    }

    #[tokio::test]
    async fn who_cannot_write_and_waits_for_what_comes_is_woken_by_it() {
        let (mut socket, mut other) = alone(true).await;
        let mut sent = false;
        let heard = poll_fn(|context| {
            let mut byte = [0];
            let mut buffer = ReadBuf::new(&mut byte);
            if Pin::new(&mut socket).poll_read(context, &mut buffer).is_ready() {
                return Poll::Ready(byte);
            }
            assert!(Pin::new(&mut socket).poll_write(context, b"more").is_pending());
            if !std::mem::replace(&mut sent, true) {
                other.write_all(b"!").unwrap();
            }
            Poll::Pending
        });
        assert_eq!(timeout(Duration::from_secs(30), heard).await.unwrap(), *b"!");
    }
}
