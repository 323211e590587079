//! Which server is asked through which proxy: the order of preference, and what is known to be down.

use crate::Result;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// After how long a way that failed is tried again the first time; it doubles with each failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// What that doubles up to: so soon is a server that is back noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How a server is reached.
#[derive(Clone, Debug, PartialEq)]
pub enum Proxy {
    /// Without a proxy.
    Direct,
    /// Through the HTTP proxy with this URL.
    Http(String),
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(match self {
            Proxy::Direct => "DIRECT",
            Proxy::Http(url) => url,
        })
    }
}

/// Reads a list of servers: URLs separated by semicolons, in which `@fqrn@` and `@org@` stand for the repository.
///
/// # Errors
/// There is none, or one is not an http URL.
pub fn servers(text: &str, fqrn: &str) -> Result<Vec<String>> {
    let org = fqrn.split('.').next().unwrap_or_default();
    let mut found = Vec::new();
    for url in text.split(';').map(str::trim).filter(|url| !url.is_empty()) {
        let url = url.replace("@fqrn@", fqrn).replace("@org@", org);
        check_url(&url)?;
        found.push(url.trim_end_matches('/').to_string());
    }
    if found.is_empty() { Err("names no server. Remedy: http://SERVER/cvmfs/@fqrn@".into()) } else { Ok(found) }
}

/// Reads proxies: groups separated by semicolons, in each of them proxies separated by bars.
///
/// # Errors
/// There is none, or one is neither an http URL nor `DIRECT`.
pub fn proxies(text: &str) -> Result<Vec<Vec<Proxy>>> {
    let mut groups = Vec::new();
    for group in text.split(';') {
        let mut members = Vec::new();
        for name in group.split('|').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "DIRECT" {
                members.push(Proxy::Direct);
                continue;
            }
            let url = if name.contains("://") { name.to_string() } else { format!("http://{name}") };
            check_url(&url)?;
            members.push(Proxy::Http(url.trim_end_matches('/').into()));
        }
        if !members.is_empty() {
            groups.push(members);
        }
    }
    if groups.is_empty() { Err("names no proxy. Remedy: http://PROXY:3128, or DIRECT".into()) } else { Ok(groups) }
}

fn check_url(url: &str) -> Result<()> {
    let rest = url.strip_prefix("http://").unwrap_or_default();
    let host = rest.split(['/', ':']).next().unwrap_or_default();
    if !host.is_empty() && !rest.contains([' ', '"', '@', '|']) {
        return Ok(());
    }
    Err(format!("has \"{url}\". Remedy: a URL that begins with http:// (what is read is signed; https is not needed)"))
}

/// One way to the repository.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// How.
    pub proxy: Proxy,
    /// URL of the repository on the server.
    pub server: String,
}

impl std::fmt::Display for Route {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.proxy {
            Proxy::Direct => write!(to, "{}", self.server),
            Proxy::Http(url) => write!(to, "{} through {url}", self.server),
        }
    }
}

/// How much of a route a failure concerns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Blame {
    /// This server as this proxy sees it.
    Route,
    /// The proxy, so every server through it.
    Proxy,
}

#[derive(Clone, Default)]
struct Health {
    /// Since it failed: when to try again, and how long was waited for that.
    down: Option<(Instant, Duration)>,
}

/// All ways to a repository in order of preference, with what is known of them.
pub struct Routes {
    routes: Vec<Route>,
    health: Mutex<Vec<Health>>,
}

impl Routes {
    /// Orders the ways: the first group's proxies in random order, each with all servers, then the next group's.
    pub fn new(mut groups: Vec<Vec<Proxy>>, servers: &[String]) -> Self {
        let random = RandomState::new();
        let mut routes = Vec::new();
        for group in &mut groups {
            group.sort_by_key(|proxy| random.hash_one(proxy.to_string()));
            for proxy in group {
                routes.extend(servers.iter().map(|server| Route { proxy: proxy.clone(), server: server.clone() }));
            }
        }
        let health = Mutex::new(vec![Health::default(); routes.len()]);
        Self { routes, health }
    }

    /// Returns the way with this number.
    pub fn route(&self, number: usize) -> &Route {
        &self.routes[number]
    }

    /// Returns all ways.
    pub fn all(&self) -> &[Route] {
        &self.routes
    }

    /// Returns the numbers of the ways that are not known to be down, in order of preference.
    pub fn usable(&self) -> Vec<usize> {
        let health = crate::lock(&self.health);
        (0..health.len()).filter(|number| health[*number].down.is_none()).collect()
    }

    /// Returns the numbers of the ways that are down and due to be tried again.
    pub fn due(&self, now: Instant) -> Vec<usize> {
        let health = crate::lock(&self.health);
        (0..health.len()).filter(|number| health[*number].down.is_some_and(|(at, _)| at <= now)).collect()
    }

    /// Notes a failure; returns whether the way was thought to be usable.
    pub fn failed(&self, number: usize, blame: Blame, now: Instant) -> bool {
        let mut health = crate::lock(&self.health);
        let was_usable = health[number].down.is_none();
        for (other, route) in self.routes.iter().enumerate() {
            let concerned = other == number || blame == Blame::Proxy && route.proxy == self.routes[number].proxy;
            if concerned && health[other].down.is_none_or(|(at, _)| at <= now) {
                let wait = health[other].down.map_or(FIRST_WAIT, |(_, wait)| (2 * wait).min(LONGEST_WAIT));
                health[other].down = Some((now + wait, wait));
            }
        }
        was_usable
    }

    /// Notes a success; returns whether the way was down.
    pub fn works(&self, number: usize) -> bool {
        crate::lock(&self.health)[number].down.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Proxy {
        Proxy::Http(url.into())
    }

    #[test]
    fn servers_are_named_for_the_repository() {
        let found = servers("http://a/cvmfs/@fqrn@/; http://b:8000/opt/@org@", "atlas.cern.ch").unwrap();
        assert_eq!(found, ["http://a/cvmfs/atlas.cern.ch", "http://b:8000/opt/atlas"]);
        assert!(servers(" ; ", "a.b").unwrap_err().contains("names no server"));
        for url in ["https://a/b", "a/b", "http://", "http:///x", "http://a b"] {
            assert!(servers(url, "a.b").unwrap_err().contains(url), "{url}");
        }
    }

    #[test]
    fn proxies_come_in_groups() {
        let groups = proxies("http://a:1|b:2;http://c:3/; DIRECT").unwrap();
        assert_eq!(
            groups,
            [vec![http("http://a:1"), http("http://b:2")], vec![http("http://c:3")], vec![Proxy::Direct]]
        );
        assert!(proxies("auto://x").unwrap_err().contains("auto://x"));
    }

    #[test]
    fn groups_keep_their_order_and_members_of_a_group_share_the_load() {
        let servers = ["http://s".to_string(), "http://t".to_string()];
        let mut first = std::collections::HashSet::new();
        for _ in 0..100 {
            let routes = Routes::new(proxies("p|q;DIRECT").unwrap(), &servers);
            let order: Vec<String> = routes.all().iter().map(Route::to_string).collect();
            assert_eq!(order[4..], ["http://s", "http://t"]);
            assert!(order[0].starts_with("http://s through") && order[1].starts_with("http://t through"));
            first.insert(order[0].clone());
        }
        assert_eq!(first.len(), 2);
    }

    #[test]
    fn a_server_that_fails_is_passed_over_until_it_works() {
        let routes = Routes::new(proxies("DIRECT").unwrap(), &["http://s".into(), "http://t".into()]);
        let now = Instant::now();
        assert!(routes.failed(0, Blame::Route, now));
        assert!(!routes.failed(0, Blame::Route, now), "told twice");
        assert_eq!(routes.usable(), [1]);
        assert!(routes.due(now).is_empty());
        assert_eq!(routes.due(now + FIRST_WAIT), [0]);
        assert!(routes.works(0));
        assert!(!routes.works(0));
        assert_eq!(routes.usable(), [0, 1]);
    }

    #[test]
    fn a_proxy_that_fails_takes_all_servers_along() {
        let routes = Routes::new(proxies("p;q").unwrap(), &["http://s".into(), "http://t".into()]);
        routes.failed(0, Blame::Proxy, Instant::now());
        assert_eq!(routes.usable(), [2, 3]);
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let routes = Routes::new(proxies("DIRECT").unwrap(), &["http://s".into()]);
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 5, 5] {
            routes.failed(0, Blame::Route, now);
            assert!(routes.due(now + Duration::from_millis(1000 * seconds - 1)).is_empty());
            now += Duration::from_secs(seconds);
            assert_eq!(routes.due(now), [0]);
        }
    }
}
