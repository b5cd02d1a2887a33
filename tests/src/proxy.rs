//! A TCP proxy between Lifeboat and a server that a test can let hold every connection open, or cut.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::watch,
};

/// What the proxy does with every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Hands everything on.
    Pass,
    /// Hands on so many bytes in each direction of a connection, then neither reads nor writes, and stays connected.
    HoldAfter(u64),
    /// Ends every connection, and accepts none.
    Cut,
}

/// What the proxy does now.
#[derive(Debug, Clone, Copy)]
struct Orders {
    mode: Mode,
    /// How often all connections that there were have been let go.
    let_go: u64,
}

impl Orders {
    /// What is done with a connection before whose accepting connections had been let go so often.
    fn of(self, let_go_before: u64) -> Mode {
        match self.mode {
            Mode::HoldAfter(_) if let_go_before < self.let_go => Mode::Pass,
            mode => mode,
        }
    }
}

/// A proxy on a free port of 127.0.0.1; ends when dropped.
pub struct Proxy {
    port: u16,
    orders: watch::Sender<Orders>,
    held: watch::Receiver<u64>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Listens, and hands on to a port of 127.0.0.1.
    pub fn start(to: u16, mode: Mode) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (sender, receiver) = watch::channel(Orders { mode, let_go: 0 });
        let (holding, held) = watch::channel(0);
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(listener)?;
        runtime.spawn(accept(listener, (Ipv4Addr::LOCALHOST, to).into(), receiver, holding));
        Ok(Self { port, orders: sender, held, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A URL that leads through the proxy.
    pub fn through(&self, url: &str, port: u16) -> String {
        url.replace(&format!(":{port}/"), &format!(":{}/", self.port))
    }

    /// Changes what it does, at once and for every connection that was not let go.
    pub fn set(&self, mode: Mode) {
        self.orders.send_modify(|orders| orders.mode = mode);
    }

    /// Holds no connection any more that there is now; those to come are dealt with as before.
    pub fn let_go(&self) {
        self.orders.send_modify(|orders| orders.let_go += 1);
    }

    /// How many connections are held now. One whose end is told in the direction that is not held is held no more.
    pub fn held(&self) -> u64 {
        *self.held.borrow()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A connection that is held, counted for as long as it is.
struct Held<'a>(&'a watch::Sender<u64>);

impl<'a> Held<'a> {
    fn count(held: &'a watch::Sender<u64>) -> Self {
        held.send_modify(|n| *n += 1);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n -= 1);
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, orders: watch::Receiver<Orders>, held: watch::Sender<u64>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        if orders.borrow().mode == Mode::Cut {
            continue;
        }
        let (let_go_before, orders, held) = (orders.borrow().let_go, orders.clone(), held.clone());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(to).await else { return };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            // The first direction to end ends both: nobody who speaks to PostgreSQL closes half a connection.
            tokio::select! {
                () = copy(from_client, to_server, orders.clone(), let_go_before, held.clone()) => {}
                () = copy(from_server, to_client, orders, let_go_before, held) => {}
            }
        });
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut orders: watch::Receiver<Orders>,
    let_go_before: u64,
    held: watch::Sender<u64>,
) {
    let mut block = vec![0; 16 << 10];
    let mut passed: u64 = 0;
    loop {
        let now = orders.borrow_and_update().of(let_go_before);
        match now {
            Mode::Cut => return,
            Mode::HoldAfter(limit) if passed >= limit => {
                let _held = Held::count(&held);
                if orders.changed().await.is_err() {
                    return;
                }
            }
            Mode::Pass | Mode::HoldAfter(_) => {
                tokio::select! {
                    changed = orders.changed() => {
                        if changed.is_err() {
                            return;
                        }
                    }
                    read = from.read(&mut block) => match read {
                        Ok(size) if size > 0 => {
                            if to.write_all(&block[..size]).await.is_err() {
                                return;
                            }
                            passed += size as u64;
                        }
                        _ => return,
                    },
                }
            }
        }
    }
}
