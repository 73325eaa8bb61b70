//! Something listens where a host should be, and is none: it never answers, answers nonsense, slowly, or goes away. Every
//! operation ends in time, says which host it was, and with the exit code that says that it could not be reached.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use crate::scene::{Alone, script};

/// How long any of it may take: kvmsh gives up after 15 s, and all are begun at once.
const SOON: Duration = Duration::from_secs(100);

/// What becomes of a caller.
type Treat = fn(TcpStream);

/// Listens on a port of its own, and treats everybody in this way.
fn listen(treat: Treat) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for caller in listener.incoming() {
            let caller = caller.unwrap();
            std::thread::spawn(move || treat(caller));
        }
    });
    port
}

/// Reads until the other side goes away.
fn swallow(mut caller: TcpStream) {
    let mut bytes = [0; 4096];
    while caller.read(&mut bytes).is_ok_and(|count| count > 0) {}
}

fn silent(caller: TcpStream) {
    swallow(caller);
}

fn garbage(mut caller: TcpStream) {
    let noise: Vec<u8> = (0..60_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let _ = caller.write_all(&noise);
    swallow(caller);
}

/// What could become a banner, a byte a second.
fn dripping(mut caller: TcpStream) {
    for byte in b"SSH-2.0-OpenSSH_9.9 ".iter().chain(std::iter::repeat(&b'x')) {
        if caller.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The banner is sound, and that is all.
fn dying(mut caller: TcpStream) {
    let _ = caller.write_all(b"SSH-2.0-OpenSSH_9.9\r\n");
    let _ = caller.read(&mut [0; 64]);
}

#[test]
fn who_listens_and_is_no_host_is_given_up_in_time_by_every_operation() {
    let kinds: [(&str, Treat); 4] =
        [("silent", silent), ("garbage", garbage), ("dripping", dripping), ("dying", dying)];
    let (health, inventory) = (script("health.rhai"), script("inventory.rhai"));
    let operations: [(&[&str], i32); 8] = [
        (&["-c", "host(`HOST`).version"], 3),
        (&["-c", "host(`HOST`).domains()"], 3),
        (&["-c", "host(`HOST`).facts"], 3),
        (&["-c", "host(`HOST`).run(`true`)"], 3),
        (&["-c", "host(`test:///default`).domain(`test`).migrate(`HOST`)"], 3),
        (&["hosts", "test", "HOST"], 3),
        // They look at many hosts, and name those that they could not ask.
        (&[health.to_str().unwrap(), "HOST"], 5),
        (&[inventory.to_str().unwrap(), "HOST"], 5),
    ];
    let alone = Alone::new();
    std::fs::create_dir_all(alone.dir().join(".config/kvmsh")).unwrap();
    std::fs::create_dir_all(alone.dir().join(".ssh")).unwrap();
    let ports = kinds.map(|(name, treat)| (name, listen(treat)));
    let hosts: String = (ports.iter())
        .map(|(name, port)| format!("[hosts.{name}]\naddress = \"127.0.0.1\"\nport = {port}\n"))
        .collect();
    std::fs::write(alone.dir().join(".config/kvmsh/hosts.toml"), hosts).unwrap();
    let calls: Vec<(Vec<String>, &str, i32)> = (kinds.iter())
        .flat_map(|(name, _)| {
            operations.iter().map(|(words, code)| {
                (words.iter().map(|word| word.replace("HOST", name)).collect(), *name, *code)
            })
        })
        .chain([(vec!["hosts".to_owned()], "silent", 3)])
        .collect();
    let failed: String = std::thread::scope(|scope| {
        let all: Vec<_> = (calls.iter())
            .map(|(words, name, code)| {
                let alone = &alone;
                scope.spawn(move || {
                    let words: Vec<_> = words.iter().map(String::as_str).collect();
                    let ended = alone.run_for(&words, SOON);
                    let told = format!("{}{}", ended.stdout, ended.stderr).contains(name);
                    let sound = ended.code() == *code && told && !ended.stderr.contains("defect");
                    if sound { String::new() } else { format!("{words:?}: {ended}\n") }
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{failed}");
}
