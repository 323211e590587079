//! Fetches from servers, through proxies, and goes to the next where one fails.

use std::error::Error as _;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use crate::config::Settings;
use crate::error::{Context, Error, Result};
use crate::log;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For how long a route that failed is the last to be tried.
const REST: Duration = Duration::from_secs(60);
/// For how long nobody is asked after all routes have failed, so that each reader need not find out anew.
const PAUSE: Duration = Duration::from_secs(3);
/// A failure that came faster is no time-out, and is tried again after this.
const HICCUP: Duration = Duration::from_millis(200);
/// No object is larger; a server cannot fill the memory.
const LARGEST: u64 = 1 << 30;

/// All ways to a repository, the preferred one first.
pub struct Transport {
    routes: Vec<Route>,
    received: Arc<AtomicU64>,
    paused_until: Mutex<Option<Instant>>,
}

/// A server through a proxy, or without one.
struct Route {
    agent: ureq::Agent,
    server: String,
    name: String,
    received: Arc<AtomicU64>,
    rests_until: Mutex<Option<Instant>>,
}

/// Why a route had nothing to give.
enum Failure {
    /// It failed as a route.
    Silent(String),
    /// It answered, but not with what was asked for.
    Wrong(String),
}

impl Transport {
    /// Returns the transport of a repository.
    pub fn new(settings: &Settings) -> Result<Self> {
        let (mut routes, received) = (vec![], Arc::<AtomicU64>::default());
        for group in &settings.proxies {
            let mut group = group.clone();
            group.shuffle(&mut rand::thread_rng());
            for proxy in group {
                let agent = agent(proxy.as_deref(), settings.timeout)?;
                let via = proxy.map(|proxy| format!(" by {proxy}")).unwrap_or_default();
                routes.extend(settings.servers.iter().map(|server| Route {
                    agent: agent.clone(),
                    server: server.clone(),
                    name: format!("{server}{via}"),
                    received: received.clone(),
                    rests_until: Mutex::default(),
                }));
            }
        }
        Ok(Self { routes, received, paused_until: Mutex::default() })
    }

    /// Returns how many bytes servers and proxies have sent.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Fetches what has a path, from the first route whose answer is accepted.
    pub fn fetch<T>(&self, path: &str, accept: impl Fn(Vec<u8>) -> std::result::Result<T, String>) -> Result<T> {
        if self.is_paused() {
            return Err(Error::Unreachable(format!("{path}: no server answered a moment ago")));
        }
        let (mut reasons, mut answered) = (vec![], false);
        let (rested, resting): (Vec<_>, Vec<_>) = self.routes.iter().partition(|route| !is_ahead(&route.rests_until));
        for route in rested.into_iter().chain(resting) {
            let (rest, reason) = match route.fetch(path, &accept) {
                Ok(fetched) => {
                    *route.rests_until.lock().unwrap() = None;
                    *self.paused_until.lock().unwrap() = None;
                    return Ok(fetched);
                }
                Err(Failure::Silent(reason)) => (Some(Instant::now() + REST), reason),
                Err(Failure::Wrong(reason)) => (None, reason),
            };
            answered |= rest.is_none();
            *route.rests_until.lock().unwrap() = rest;
            log::say(format_args!("{path} from {}: {reason}", route.name));
            reasons.push(reason);
        }
        let summary = format!("{path}: {}", reasons.join("; "));
        *self.paused_until.lock().unwrap() = (!answered).then(|| Instant::now() + PAUSE);
        if answered {
            return Err(Error::Refused(summary));
        }
        Err(Error::Unreachable(summary))
    }

    /// Whether some route answered when one was last asked. Where none did, whoever reads finds out, and nobody else.
    pub fn is_answering(&self) -> bool {
        self.paused_until.lock().unwrap().is_none()
    }

    /// Whether nobody is to be asked now. After a pause one reader asks, and the others are spared what it may wait for.
    fn is_paused(&self) -> bool {
        let (mut end, now) = (self.paused_until.lock().unwrap(), Instant::now());
        let is_paused = end.is_some_and(|end| end > now);
        if end.is_some() && !is_paused {
            *end = Some(now + PAUSE);
        }
        is_paused
    }
}

impl Route {
    /// Fetches, and once more where that may help: after a hiccup, and past a proxy that keeps something wrong.
    fn fetch<T>(
        &self,
        path: &str,
        accept: impl Fn(Vec<u8>) -> std::result::Result<T, String>,
    ) -> std::result::Result<T, Failure> {
        let start = Instant::now();
        let content = self.get(path, false).or_else(|failure| match failure {
            Failure::Silent(_) if start.elapsed() < HICCUP => {
                std::thread::sleep(HICCUP);
                self.get(path, false)
            }
            other => Err(other),
        })?;
        accept(content).or_else(|_| accept(self.get(path, true)?).map_err(Failure::Wrong))
    }

    fn get(&self, path: &str, anew: bool) -> std::result::Result<Vec<u8>, Failure> {
        let request = self.agent.get(&format!("{}/{path}", self.server));
        let request = if anew { request.set("Cache-Control", "no-cache") } else { request };
        let response = request.call().map_err(|error| match error {
            ureq::Error::Status(code, _) if code < 500 => Failure::Wrong(format!("answered {code}")),
            ureq::Error::Status(code, _) => Failure::Silent(format!("answered {code}")),
            ureq::Error::Transport(error) => Failure::Silent(match error.source() {
                Some(reason) => reason.to_string(),
                None => error.kind().to_string(),
            }),
        })?;
        let mut content = vec![];
        let read = response.into_reader().take(LARGEST).read_to_end(&mut content);
        self.received.fetch_add(content.len() as u64, Ordering::Relaxed);
        read.map_err(|error| Failure::Silent(error.to_string()))?;
        Ok(content)
    }
}

fn agent(proxy: Option<&str>, timeout: Duration) -> Result<ureq::Agent> {
    let builder = ureq::AgentBuilder::new()
        .timeout_connect(CONNECT_TIMEOUT.min(timeout))
        .timeout_read(timeout)
        .max_idle_connections_per_host(16)
        .user_agent("astrok8s-cvmfs-client");
    Ok(match proxy {
        Some(proxy) => {
            builder.proxy(ureq::Proxy::new(proxy).context(&format!("CVMFS_HTTP_PROXY names {proxy}"))?).build()
        }
        None => builder.build(),
    })
}

fn is_ahead(time: &Mutex<Option<Instant>>) -> bool {
    time.lock().unwrap().is_some_and(|time| time > Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn after_an_outage_one_who_reads_finds_out_whether_it_is_over() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port(); // closed again
        let settings = Settings {
            fqrn: "sw.example.org".into(),
            servers: vec![format!("http://127.0.0.1:{port}")],
            proxies: vec![vec![None]],
            key: "key".into(),
            cache: "cache".into(),
            mount: "mount".into(),
            quota: 0,
            timeout: Duration::from_secs(1),
            max_ttl: None,
        };
        let transport = Transport::new(&settings).unwrap();
        assert!(transport.is_answering());
        assert!(transport.fetch("object", Ok).is_err());
        *transport.paused_until.lock().unwrap() = Some(Instant::now()); // the pause is over
        assert!(!transport.is_answering());
        assert!(!transport.is_paused());
    }
}
