//! Downloads, by whatever way works, with a count of what crossed the network.

use crate::Result;
use crate::address::{Blame, Proxy, Route, Routes};
use crate::config::Specific;
use crate::log;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Why one attempt did not succeed.
#[derive(Debug)]
pub enum Problem {
    /// The way there is broken.
    Network {
        /// What was seen.
        what: String,
        /// How much is broken.
        blame: Blame,
        /// Whether it took long: it is not tried again at once.
        slow: bool,
    },
    /// The server has no such thing.
    Absent(String),
    /// What came is not what it should be.
    Content(String),
    /// It cannot be kept on this machine: another server is no help.
    Local(String),
}

/// What crossed the network for one repository since the client started.
#[derive(Default)]
pub struct Counters {
    /// Bytes of content, as they were sent.
    pub bytes: AtomicU64,
    /// Complete downloads.
    pub downloads: AtomicU64,
}

/// A repository's servers and proxies.
pub struct Network {
    fqrn: String,
    routes: Routes,
    through_proxy: Vec<(Proxy, ureq::Agent)>,
    retries: u32,
    /// What was transferred.
    pub counters: Counters,
}

impl Network {
    /// Prepares to ask a repository's servers; asks none yet.
    ///
    /// # Errors
    /// A proxy's URL is not understood.
    pub fn new(config: &Specific) -> Result<Self> {
        let mut through_proxy = Vec::new();
        for proxy in config.proxies.iter().flatten() {
            through_proxy.push((proxy.clone(), agent(proxy, config)?));
        }
        let routes = Routes::new(config.proxies.clone(), &config.servers);
        let (fqrn, retries, counters) = (config.fqrn.clone(), config.retries, Counters::default());
        Ok(Self { fqrn, routes, through_proxy, retries, counters })
    }

    /// Returns the ways to the servers.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Asks one way after the other until one attempt succeeds. A way that is broken is passed over from then on,
    /// until `try_again` finds it whole, so that one reader waits for it and not each.
    ///
    /// # Errors
    /// No way worked; names each with what was seen.
    pub fn any<T>(&self, mut attempt: impl FnMut(&Request) -> std::result::Result<T, Problem>) -> Result<T> {
        let mut told = Vec::new();
        for number in self.routes.usable() {
            match self.on_route(number, &mut attempt) {
                Ok(value) => return Ok(value),
                Err(Problem::Local(what)) => return Err(what),
                Err(Problem::Network { what, .. } | Problem::Absent(what) | Problem::Content(what)) => told.push(what),
            }
        }
        if told.is_empty() {
            return Err(format!("all servers are known to be down ({})", self.routes.all().len()));
        }
        Err(told.join("; "))
    }

    /// Tries one way as often as it is worth it, and notes how it went.
    fn on_route<T>(
        &self,
        number: usize,
        attempt: &mut impl FnMut(&Request) -> std::result::Result<T, Problem>,
    ) -> std::result::Result<T, Problem> {
        let route = self.routes.route(number);
        for turn in 0.. {
            let last = turn >= self.retries;
            match attempt(&Request { network: self, route, fresh: turn > 0 }) {
                Ok(value) => {
                    self.works(number);
                    return Ok(value);
                }
                Err(Problem::Network { what, blame, slow }) if last || slow || blame == Blame::Proxy => {
                    self.failed(number, blame, &what);
                    return Err(Problem::Network { what, blame, slow });
                }
                Err(Problem::Content(what)) => {
                    log::event(&self.fqrn, &what);
                    // a proxy may have kept what is damaged
                    if last || turn > 0 || route.proxy == Proxy::Direct {
                        return Err(Problem::Content(what));
                    }
                }
                Err(Problem::Network { .. }) => {}
                Err(problem) => return Err(problem),
            }
        }
        unreachable!("the last turn returns")
    }

    /// Tries the ways that are down again, where it is time to; returns whether one works again.
    pub fn try_again(&self) -> bool {
        let mut healed = false;
        for number in self.routes.due(Instant::now()) {
            let request = Request { network: self, route: self.routes.route(number), fresh: true };
            match request.read(".cvmfspublished", LETTER_LIMIT) {
                Err(Problem::Network { what, blame, .. }) => self.failed(number, blame, &what),
                _ => {
                    self.works(number);
                    healed = true;
                }
            }
        }
        healed
    }

    fn works(&self, number: usize) {
        if self.routes.works(number) {
            log::event(&self.fqrn, &format!("{} works again", self.routes.route(number)));
        }
    }

    fn failed(&self, number: usize, blame: Blame, what: &str) {
        if self.routes.failed(number, blame, Instant::now()) {
            log::event(&self.fqrn, &format!("{what}; passed over until it works again"));
        }
    }

    fn agent(&self, proxy: &Proxy) -> &ureq::Agent {
        let found = self.through_proxy.iter().find(|(other, _)| other == proxy);
        &found.expect("every route's proxy has an agent").1
    }
}

/// Bytes that a signed letter (manifest, whitelist) may have.
pub const LETTER_LIMIT: u64 = 1 << 20;

fn agent(proxy: &Proxy, config: &Specific) -> Result<ureq::Agent> {
    let timeout = if *proxy == Proxy::Direct { config.timeout_direct } else { config.timeout };
    let builder = ureq::AgentBuilder::new()
        .try_proxy_from_env(false)
        .user_agent(concat!("cvmfs-client/", env!("CARGO_PKG_VERSION")))
        .redirects(0)
        .timeout_connect(timeout)
        .timeout_read(timeout)
        .timeout_write(timeout)
        .max_idle_connections(64)
        .max_idle_connections_per_host(16);
    match proxy {
        Proxy::Direct => Ok(builder.build()),
        Proxy::Http(url) => {
            let known = ureq::Proxy::new(url).map_err(|error| format!("the proxy {url} is not understood: {error}"))?;
            Ok(builder.proxy(known).build())
        }
    }
}

/// Asks one server by one way.
pub struct Request<'a> {
    network: &'a Network,
    /// The way.
    pub route: &'a Route,
    /// Whether proxies are to ask the server again.
    fresh: bool,
}

impl Request<'_> {
    /// Begins a download.
    ///
    /// # Errors
    /// The server is not reached, or does not have it.
    pub fn begin(&self, path: &str) -> std::result::Result<Download<'_>, Problem> {
        let url = format!("{}/{path}", self.route.server);
        let mut request = self.network.agent(&self.route.proxy).get(&url);
        if self.fresh {
            request = request.set("Cache-Control", "no-cache").set("Pragma", "no-cache");
        }
        let started = Instant::now();
        match request.call() {
            Ok(answer) if answer.status() == 200 => {
                let length = answer.header("content-length").and_then(|text| text.parse().ok());
                Ok(Download {
                    request: self,
                    path: path.into(),
                    length,
                    received: 0,
                    started,
                    body: answer.into_reader(),
                })
            }
            Ok(answer) => Err(self.network_problem(path, &format!("status {}", answer.status()), Blame::Route, false)),
            Err(ureq::Error::Status(code @ (403 | 404 | 410), _)) => {
                Err(Problem::Absent(format!("{path}: {} answers with status {code}", self.route)))
            }
            Err(ureq::Error::Status(code, _)) => {
                Err(self.network_problem(path, &format!("status {code}"), Blame::Route, code == 504))
            }
            Err(ureq::Error::Transport(error)) => {
                use ureq::ErrorKind::{ConnectionFailed, Dns, ProxyConnect, ProxyUnauthorized};
                let refused = matches!(error.kind(), ConnectionFailed | Dns | ProxyConnect | ProxyUnauthorized);
                let blame = if refused && self.route.proxy != Proxy::Direct { Blame::Proxy } else { Blame::Route };
                let slow = refused || started.elapsed() > Duration::from_secs(1);
                let text = error.to_string();
                let what = text.strip_prefix(&format!("{url}: ")).unwrap_or(&text);
                Err(self.network_problem(path, what, blame, slow))
            }
        }
    }

    /// Downloads something small.
    ///
    /// # Errors
    /// It does not arrive whole, or is larger than `limit` bytes.
    pub fn read(&self, path: &str, limit: u64) -> std::result::Result<Vec<u8>, Problem> {
        let mut download = self.begin(path)?;
        let mut data = Vec::new();
        let outcome = (&mut download).take(limit + 1).read_to_end(&mut data);
        outcome.map_err(|error| download.problem(&error))?;
        if data.len() as u64 > limit {
            return Err(Problem::Content(format!("{path} from {} is larger than {limit} bytes", self.route)));
        }
        download.finish()?;
        Ok(data)
    }

    fn network_problem(&self, path: &str, what: &str, blame: Blame, slow: bool) -> Problem {
        Problem::Network { what: format!("{path}: {} does not answer: {what}", self.route), blame, slow }
    }
}

/// Content on its way.
pub struct Download<'a> {
    request: &'a Request<'a>,
    path: String,
    length: Option<u64>,
    received: u64,
    started: Instant,
    body: Box<dyn Read + Send + Sync>,
}

impl Download<'_> {
    /// Checks that all has come.
    ///
    /// # Errors
    /// The server announced more.
    pub fn finish(self) -> std::result::Result<(), Problem> {
        if self.length.is_some_and(|length| length != self.received) {
            return Err(self.problem(&ErrorKind::UnexpectedEof.into()));
        }
        self.request.network.counters.downloads.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Says of an error that came up while reading that the way is broken.
    pub fn problem(&self, error: &std::io::Error) -> Problem {
        let announced = self.length.map_or("an unknown number".into(), |length| length.to_string());
        let what = format!("after {} of {announced} bytes: {error}", self.received);
        let slow = self.started.elapsed() > Duration::from_secs(1);
        self.request.network_problem(&self.path, &what, Blame::Route, slow)
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.received += count as u64;
        self.request.network.counters.bytes.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
