//! Downloads from small servers on the loopback device that answer as real ones do on their bad days.

use super::*;
use crate::address;
use crate::cache::Cache;
use crate::object::{Key, Kind, Objects, Packing};
use sha1::{Digest, Sha1};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What a server sends for a path: the whole answer, after which it hangs up.
type Answer = fn(&str) -> Vec<u8>;

/// A server; it answers as long as the tests run.
struct Server {
    url: String,
    /// Heads of the requests that came.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = head(&stream);
                let path = head.split(' ').nth(1).unwrap_or_default().to_string();
                seen.lock().unwrap().push(head);
                let _ = stream.write_all(&answer(&path));
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn head(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map_while(std::io::Result::ok);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Returns a URL that nobody listens at.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn content() -> Vec<u8> {
    b"content of a file\n".repeat(1000)
}

fn packed() -> Vec<u8> {
    let mut to = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(&content()).unwrap();
    to.finish().unwrap()
}

fn key() -> Key {
    Key { hash: Sha1::digest(packed()).into(), kind: Kind::File }
}

fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn good(_: &str) -> Vec<u8> {
    answer("200 OK", packed().len(), &packed())
}

fn wrong(_: &str) -> Vec<u8> {
    answer("200 OK", 9, b"something")
}

fn cut(_: &str) -> Vec<u8> {
    answer("200 OK", packed().len(), &packed()[..packed().len() / 2])
}

fn longer(_: &str) -> Vec<u8> {
    answer("200 OK", packed().len() + 1, &[packed(), vec![0]].concat())
}

fn absent(_: &str) -> Vec<u8> {
    answer("404 Not Found", 0, b"")
}

fn overloaded(_: &str) -> Vec<u8> {
    answer("503 Service Unavailable", 0, b"")
}

fn network(servers: &[&str], proxies: &str) -> Arc<Network> {
    let config = Specific {
        fqrn: "sw.example.org".into(),
        servers: servers.iter().map(ToString::to_string).collect(),
        proxies: address::proxies(proxies).unwrap(),
        keys: Vec::new(),
        max_ttl: None,
        timeout: Duration::from_secs(5),
        timeout_direct: Duration::from_secs(5),
        retries: 1,
    };
    Arc::new(Network::new(&config).unwrap())
}

/// Opens the object through a new cache; returns its content.
fn open(name: &str, network: &Arc<Network>) -> Result<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("cvmfs-fetch-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let objects = Objects::new(Cache::new(&folder, None).unwrap(), network.clone());
    let outcome = objects.open(key(), Packing::Zlib, Some(content().len() as u64)).map(|object| {
        let mut data = vec![0; object.size() as usize];
        object.read_at(&mut data, 0).unwrap();
        data
    });
    std::fs::remove_dir_all(folder).unwrap();
    outcome
}

#[test]
fn an_object_arrives_unpacked_and_is_counted_as_it_was_sent() {
    let server = Server::new(good);
    let network = network(&[&server.url], "DIRECT");
    assert_eq!(open("good", &network), Ok(content()));
    assert_eq!(network.counters.bytes.load(Relaxed), packed().len() as u64);
    assert_eq!(network.counters.downloads.load(Relaxed), 1);
    assert!(server.requests.lock().unwrap()[0].starts_with(&format!("GET /{} HTTP", key().path())));
}

#[test]
fn what_one_server_sends_wrong_the_next_sends_right() {
    let cases: [(&str, Answer); 5] =
        [("wrong", wrong), ("cut", cut), ("longer", longer), ("absent", absent), ("overloaded", overloaded)];
    for (name, bad) in cases {
        let (first, second) = (Server::new(bad), Server::new(good));
        let network = network(&[&first.url, &second.url], "DIRECT");
        assert_eq!(open(name, &network), Ok(content()), "{name}");
        assert!(first.requests() >= 1, "{name}");
    }
}

#[test]
fn what_all_servers_send_wrong_is_an_error_that_names_object_and_server() {
    let cases: [(Answer, &str); 5] = [
        (wrong, "is corrupt"),
        (cut, "does not answer"),
        (longer, "is corrupt"),
        (absent, "status 404"),
        (overloaded, "503"),
    ];
    for (bad, told) in cases {
        let server = Server::new(bad);
        let error = open("bad", &network(&[&server.url], "DIRECT")).unwrap_err();
        let hash = hex::encode(key().hash);
        assert!(error.contains(told) && error.contains(&server.url) && error.contains(&hash[2..]), "{error}");
    }
}

#[test]
fn a_server_that_is_down_is_asked_once_and_found_again_when_it_is_back() {
    let network = network(&[&nobody()], "DIRECT");
    assert!(open("down", &network).unwrap_err().contains("does not answer"));
    assert!(open("down", &network).unwrap_err().contains("known to be down"));
    assert!(!network.try_again(), "not before its time");
    let server = Server::new(absent);
    let back = self::network(&[&server.url], "DIRECT");
    back.failed(0, Blame::Route, "a test says so");
    assert!(back.routes.usable().is_empty());
    while !back.try_again() {
        std::thread::yield_now(); // bounded by the first wait, a second
    }
    assert_eq!(back.routes.usable(), [0]);
}

#[test]
fn a_proxy_gets_the_whole_url_and_is_passed_over_when_it_is_down() {
    let proxy = Server::new(good);
    let network = network(&["http://server.invalid/cvmfs/x"], &format!("{};{}", nobody(), proxy.url));
    assert_eq!(open("proxy", &network), Ok(content()));
    let asked = proxy.requests.lock().unwrap()[0].clone();
    assert!(asked.starts_with(&format!("GET http://server.invalid/cvmfs/x/{} HTTP", key().path())), "{asked}");
    assert_eq!(network.routes.usable(), [1]);
}

#[test]
fn a_proxy_that_kept_what_is_damaged_is_asked_for_it_afresh() {
    let proxy = Server::new(wrong);
    let network = network(&["http://server.invalid/x"], &proxy.url);
    open("afresh", &network).unwrap_err();
    let requests = proxy.requests.lock().unwrap();
    let afresh: Vec<bool> = requests.iter().map(|head| head.contains("no-cache")).collect();
    assert_eq!(afresh, [false, true]);
}

#[test]
fn letters_that_are_too_large_are_refused() {
    let server = Server::new(good);
    let network = network(&[&server.url], "DIRECT");
    let outcome = network.any(|request| request.read("letter", 20));
    assert!(outcome.unwrap_err().contains("is larger than 20 bytes"));
}
