//! How to reach one database: parsed from a URL, pinned to one address, handed on to client tools by environment only.

mod rds;
mod tls;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::Host;

use self::rds::RdsRoots;
use crate::credentials::{CredentialSource, Credentials};

/// By which a client notices a server that is gone without having closed its socket.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// See [`KEEPALIVE_IDLE`].
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// See [`KEEPALIVE_IDLE`].
pub(crate) const KEEPALIVE_RETRIES: u32 = 3;
/// See [`KEEPALIVE_IDLE`].
pub(crate) const TCP_USER_TIMEOUT: Duration = Duration::from_secs(45);

/// Who connects, and the password that proves it.
pub(crate) type Login = (String, Option<SecretString>);

/// Whether and how the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Plain: Unix sockets, loopback, or asked for with `sslmode=disable`.
    Disable,
    /// Encrypted, the certificate and the host's name checked. Everything else that libpq knows is raised to this.
    VerifyFull,
}

/// One database on one server, and who connects. Never prints its password.
#[derive(Clone)]
pub struct ConnectionTarget {
    host: String,
    address: Option<IpAddr>,
    port: u16,
    user: String,
    password: Option<SecretString>,
    source: Option<Arc<dyn CredentialSource>>,
    database: String,
    tls: Tls,
    root_cert: Option<PathBuf>,
    /// What servers of RDS are checked with where no file is named.
    rds: Option<RdsRoots>,
    connect_timeout: Duration,
}

impl fmt::Debug for ConnectionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.user, self.server_label(), self.database)
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Usage, message)
        .with_hint("write postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE")
}

/// What is wrong with a URL, without a word of it.
fn unparsed(error: &tokio_postgres::Error) -> &'static str {
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if reason.starts_with("unknown option") {
        "the database URL has a parameter that is not known"
    } else if reason.contains("option `port`") {
        "the port in the database URL is no number from 0 to 65535"
    } else {
        "the database URL cannot be parsed (is a special character not %-encoded?)"
    }
}

impl ConnectionTarget {
    /// Parses `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`. A Unix socket folder is given as
    /// `?host=/run/postgresql`. Errors never repeat the URL, because it may hold a password.
    pub fn parse(url: &str) -> Result<Self> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(usage("a database URL must begin with postgres://"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut kept = Vec::new();
        let mut sslmode = None;
        let mut root_cert = None;
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value)
                .decode_utf8()
                .map_err(|_| usage("a parameter of the database URL is not UTF-8"))?;
            match name {
                "sslmode" => sslmode = Some(value.into_owned()),
                "sslrootcert" => root_cert = Some(PathBuf::from(value.into_owned())),
                "application_name" => {}
                _ => kept.push(pair),
            }
        }
        let rest = if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) };
        // The parser's own message can quote parts of the URL: only its kind is told.
        let config: tokio_postgres::Config = rest.parse().map_err(|e| usage(unparsed(&e)))?;
        let (host, socket) = match config.get_hosts() {
            [Host::Tcp(name)] => (name.clone(), false),
            [Host::Unix(folder)] => (folder.to_string_lossy().into_owned(), true),
            [] => return Err(usage("the database URL names no host")),
            _ => return Err(usage("the database URL names several hosts; name one")),
        };
        let user = config.get_user().ok_or_else(|| usage("the database URL names no user"))?.to_owned();
        let database = config.get_dbname().unwrap_or(&user).to_owned();
        let password = config
            .get_password()
            .map(|bytes| String::from_utf8(bytes.to_vec()).map(SecretString::from))
            .transpose()
            .map_err(|_| usage("the password in the database URL is not UTF-8"))?;
        let local = socket || host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let tls = match sslmode.as_deref() {
            Some("disable") => Tls::Disable,
            None if local => Tls::Disable,
            None | Some("allow" | "prefer" | "require" | "verify-ca" | "verify-full") => Tls::VerifyFull,
            Some(_) => return Err(usage("the sslmode in the database URL is not known")),
        };
        for (what, text) in [("user", &user), ("database", &database), ("host", &host)] {
            if text.contains('\0') {
                return Err(usage(format!("the {what} in the database URL contains a NUL")));
            }
        }
        Ok(Self {
            rds: RdsRoots::of_host(&host),
            host,
            address: config.get_hostaddrs().first().copied(),
            port: config.get_ports().first().copied().unwrap_or(5432),
            user,
            password,
            source: None,
            database,
            tls,
            root_cert,
            connect_timeout: config.get_connect_timeout().copied().unwrap_or(Duration::from_secs(10)),
        })
    }

    /// The same for a URL that names no user, such as `postgres://db.example:5432/orders`.
    pub fn parse_for(user: &str, url: &str) -> Result<Self> {
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| usage("a database URL must begin with postgres://"))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(usage("the server's URL names a user, which comes from elsewhere"));
        }
        Self::parse(&format!("{scheme}://{}@{rest}", utf8_percent_encode(user, NON_ALPHANUMERIC)))
    }

    /// A database by its parts.
    pub fn of_parts(host: &str, port: u16, user: &str, database: &str) -> Result<Self> {
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        if host.contains(['/', '?', '@', ',']) {
            return Err(usage("the host of the database is no host's name"));
        }
        Self::parse_for(user, &format!("postgres://{host}:{port}/{database}"))
    }

    /// A target without a URL, for servers that Lifeboat starts itself: a Unix socket folder or a loopback address.
    pub fn local(host: &str, port: u16, user: &str, password: Option<SecretString>, database: &str) -> Self {
        Self {
            host: host.to_owned(),
            address: None,
            port,
            user: user.to_owned(),
            password,
            source: None,
            database: database.to_owned(),
            tls: Tls::Disable,
            root_cert: None,
            rds: None,
            connect_timeout: Duration::from_secs(10),
        }
    }

    /// Resolves the host once; every later connection goes to the same address (reader endpoints balance by DNS).
    pub async fn pin(mut self) -> Result<Self> {
        if self.address.is_some() || self.is_socket() {
            return Ok(self);
        }
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await
            .or_error(ErrorKind::Database, format!("resolve {}", self.host))
            .map_err(|e| e.with_hint("check the host's name in the URL, and this machine's DNS"))?
            .collect();
        let mut last = None;
        for address in addresses {
            match tokio::time::timeout(self.connect_timeout, tokio::net::TcpStream::connect(address)).await {
                Ok(Ok(_)) => {
                    self.address = Some(address.ip());
                    return Ok(self);
                }
                Ok(Err(error)) => last = Some(error.to_string()),
                Err(_) => last = Some(format!("no answer within {} s", self.connect_timeout.as_secs())),
            }
        }
        Err(Error::new(
            ErrorKind::Database,
            format!("connect to {}: {}", self.server_label(), last.as_deref().unwrap_or("the name has no address")),
        )
        .with_hint("check host and port, that the server runs, and that a firewall or security group lets you in"))
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(&self, database: &str) -> Self {
        Self { database: database.to_owned(), ..self.clone() }
    }

    /// The same with a password, if it had none.
    #[must_use]
    pub fn or_password(mut self, password: Option<SecretString>) -> Self {
        self.password = self.password.or(password);
        self
    }

    /// The same with credentials that are asked for at every connection.
    #[must_use]
    pub fn with_credentials(self, source: Arc<dyn CredentialSource>) -> Self {
        Self { source: Some(source), password: None, ..self }
    }

    /// The same with the server's certificate checked by this file, where it is checked and no file was named.
    #[must_use]
    pub fn or_root_cert(mut self, file: Option<PathBuf>) -> Self {
        self.root_cert = self.root_cert.or(file);
        self
    }

    /// The same as a server of RDS, whatever its name: always encrypted and checked, by the packaged certificates where no
    /// file is named.
    #[must_use]
    pub fn of_rds(self) -> Self {
        Self { tls: Tls::VerifyFull, rds: Some(self.rds.unwrap_or_default()), ..self }
    }

    /// Whether a password is known.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The password that stood in the URL, if one did.
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// Who connects now, and with what password; where credentials are asked for, those of this moment.
    pub(crate) async fn credentials(&self) -> Result<Login> {
        let Some(source) = &self.source else { return Ok((self.user.clone(), self.password.clone())) };
        let Credentials { user, password } = source.current().await?;
        Ok((user, Some(password)))
    }

    /// What to try after the server refused these credentials.
    pub(crate) async fn renewed(&self, (user, password): Login) -> Result<Option<Login>> {
        let (Some(source), Some(password)) = (&self.source, password) else { return Ok(None) };
        let renewed = source.renewed(&Credentials { user, password }).await?;
        Ok(renewed.map(|credentials| (credentials.user, Some(credentials.password))))
    }

    /// `host:port`, for people; no secret.
    pub fn server_label(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host as written.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The role that connects.
    pub fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(crate) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether connections are not encrypted.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls == Tls::Disable
    }

    /// Whether the server seems to run on this machine; a loopback address may also be the end of a tunnel.
    pub(crate) fn is_on_this_machine(&self) -> bool {
        let loopback = |ip: IpAddr| ip.is_loopback();
        self.is_socket() || self.address.or_else(|| self.host.parse().ok()).is_some_and(loopback)
    }

    /// Where a pinned target is reached over TCP.
    pub(crate) fn socket_address(&self) -> Option<SocketAddr> {
        let address = self.address.or_else(|| self.host.parse().ok())?;
        Some(SocketAddr::new(address, self.port))
    }

    /// What libpq needs to connect to the same database on the same address, as environment of a child process that
    /// starts now: credentials may be valid for minutes only.
    pub async fn tool_environment(&self, application_name: &str) -> Result<Vec<(String, String)>> {
        if self.source.as_ref().is_some_and(|source| source.may_be_outdated()) {
            // Asks for newer ones if need be.
            drop(Box::pin(self.connect_bare(application_name, None)).await?);
        }
        let (user, password) = self.credentials().await?;
        let mut env = vec![
            ("PGHOST".to_owned(), self.host.clone()),
            ("PGPORT".to_owned(), self.port.to_string()),
            ("PGUSER".to_owned(), user),
            ("PGDATABASE".to_owned(), self.database.clone()),
            ("PGAPPNAME".to_owned(), application_name.to_owned()),
            ("PGCONNECT_TIMEOUT".to_owned(), self.connect_timeout.as_secs().max(2).to_string()),
            ("PGOPTIONS".to_owned(), tool_options()),
        ];
        if let Some(address) = self.address {
            env.push(("PGHOSTADDR".to_owned(), address.to_string()));
        }
        if let Some(password) = password {
            env.push(("PGPASSWORD".to_owned(), password.expose_secret().to_owned()));
        }
        match self.tls {
            Tls::Disable => env.push(("PGSSLMODE".to_owned(), "disable".to_owned())),
            Tls::VerifyFull => {
                env.push(("PGSSLMODE".to_owned(), "verify-full".to_owned()));
                if let Some(file) = self.ca_file()? {
                    env.push(("PGSSLROOTCERT".to_owned(), file.to_string_lossy().into_owned()));
                }
            }
        }
        Ok(env)
    }

    pub(crate) fn tokio_config(&self, application_name: &str, (user, password): &Login) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(user)
            .dbname(&self.database)
            .application_name(application_name)
            .connect_timeout(self.connect_timeout)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES)
            .tcp_user_timeout(TCP_USER_TIMEOUT);
        if let Some(address) = self.address {
            config.hostaddr(address);
        }
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        config.ssl_mode(match self.tls {
            Tls::Disable => tokio_postgres::config::SslMode::Disable,
            Tls::VerifyFull => tokio_postgres::config::SslMode::Require,
        });
        config
    }
}

/// Settings that pg_dump and pg_restore do not set themselves but that must hold: a vanished client is noticed.
fn tool_options() -> String {
    crate::session::LIVENESS.iter().map(|(name, value)| format!("-c {name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
