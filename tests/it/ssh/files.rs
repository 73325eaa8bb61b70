//! Files read, written and copied.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use kvmsh::model::{Cancel, Stop, Target};
use kvmsh::ssh::{FileKind, Settings, Shell, WriteOptions};

use super::{code, local, permitted, sh, within};
use crate::sshd::Sshd;

#[test]
fn writing_replaces_a_file_atomically_and_keeps_owner_and_mode() {
    within(30, || {
        let sshd = Sshd::start();
        let dir = sshd.path("files");
        fs::create_dir(&dir).unwrap();
        let path = |name: &str| dir.join(name).display().to_string();
        let names = || {
            let mut names: Vec<String> =
                fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        for shell in [sshd.shell(), local()] {
            let write = |name: &str, bytes: &[u8], how: &WriteOptions| {
                permitted(|permit| shell.write(permit, &path(name), bytes, how))
            };
            let plain = WriteOptions::default();
            let name = "with space 'and' \"quotes\" $x";
            assert!(write(name, b"one\0two\n", &plain).unwrap().changed);
            assert_eq!(shell.read(&path(name), 100).unwrap(), b"one\0two\n");
            assert_eq!(shell.exists(&path(name)).unwrap().unwrap().mode, 0o644);
            assert!(!write(name, b"one\0two\n", &plain).unwrap().changed, "the second time changes nothing");
            let mode = WriteOptions { mode: Some(0o600), owner: Some("nobody:daemon".into()), backup: false };
            assert!(write(name, b"one\0two\n", &mode).unwrap().changed);
            let inode = fs::metadata(path(name)).unwrap().ino();
            let backup = WriteOptions { backup: true, ..plain.clone() };
            let written = write(name, b"", &backup).unwrap();
            let meta = shell.exists(&path(name)).unwrap().unwrap();
            assert_eq!((meta.kind, meta.size, meta.mode), (FileKind::File, 0, 0o600));
            assert_eq!((meta.owner.as_str(), meta.group.as_str()), ("nobody", "daemon"));
            assert_ne!(fs::metadata(path(name)).unwrap().ino(), inode);
            let kept = written.backup.unwrap();
            assert_eq!(fs::read(&kept).unwrap(), b"one\0two\n");
            assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
            std::os::unix::fs::symlink(name, path("link")).unwrap();
            write("link", b"through", &plain).unwrap();
            assert!(fs::symlink_metadata(path("link")).unwrap().is_symlink());
            assert_eq!(fs::read(path(name)).unwrap(), b"through");
            assert_eq!(names().len(), 3, "{:?}", names());
            for name in names() {
                fs::remove_file(dir.join(name)).unwrap();
            }
            for (name, wanted) in [("no/such/dir", "no_such_file"), ("", "not_a_file"), ("a\nb", "bad_path")]
            {
                assert_eq!(code(&write(name, b"x", &plain).unwrap_err()), wanted, "{name}");
            }
            assert!(names().is_empty());
        }
    });
}

#[test]
fn reading_and_looking_tell_what_is_wrong() {
    within(20, || {
        let sshd = Sshd::start();
        for shell in [sshd.shell(), local()] {
            assert_eq!(code(&shell.read("/no/such", 10).unwrap_err()), "no_such_file");
            assert_eq!(code(&shell.read("/etc", 10).unwrap_err()), "not_a_file");
            assert_eq!(code(&shell.read("/etc/passwd", 3).unwrap_err()), "file_too_large");
            assert_eq!(code(&shell.read("relative", 3).unwrap_err()), "bad_path");
            assert!(shell.read("/proc/self/status", 1 << 20).unwrap().starts_with(b"Name:"));
            assert_eq!(shell.exists("/no/such").unwrap(), None);
            assert_eq!(shell.exists("/etc/passwd/x").unwrap(), None);
            assert_eq!(shell.exists("/etc").unwrap().unwrap().kind, FileKind::Directory);
            assert_eq!(shell.exists("/dev/null").unwrap().unwrap().kind, FileKind::Other);
        }
    });
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_else() {
    within(20, || {
        let full = tempfile::tempdir().unwrap();
        let mount = format!("mount -t tmpfs -o size=256k tmpfs '{}' && exec \"$@\"", full.path().display());
        let sshd = Sshd::with(&["ed25519"], "", &["unshare", "-m", "sh", "-c", &mount, "sh"]);
        let shell = sshd.shell();
        let path = full.path().join("file").display().to_string();
        let plain = WriteOptions::default();
        let write = |bytes: &[u8], how: &WriteOptions| permitted(|p| shell.write(p, &path, bytes, how));
        write(&[1; 100_000], &plain).unwrap();
        assert!(!Path::new(&path).exists(), "the disk is the host's alone");
        let error = write(&[2; 1_000_000], &plain).unwrap_err();
        assert_eq!(code(&error), "no_space");
        // Room for the new file, but not for the backup as well.
        let backup = WriteOptions { backup: true, ..plain.clone() };
        assert_eq!(code(&write(&[3; 100_000], &backup).unwrap_err()), "no_space");
        assert_eq!(shell.read(&path, 1 << 20).unwrap(), [1; 100_000]);
        assert_eq!(sh(&shell, &format!("ls -A '{}'", full.path().display())).text(), "file");
    });
}

#[test]
fn twenty_megabytes_go_up_and_down_with_progress() {
    within(50, || {
        let sshd = Sshd::start();
        const SIZE: u64 = 20 << 20;
        let source = sshd.path("source");
        let bytes: Vec<u8> = (0..SIZE).map(|i| (i * 31 % 257) as u8).collect();
        fs::write(&source, &bytes).unwrap();
        for shell in [sshd.shell(), local()] {
            let remote = sshd.path("remote").display().to_string();
            let mut seen = Vec::new();
            let mut meter = |done, total| seen.push((done, total));
            let how = WriteOptions { mode: Some(0o640), ..WriteOptions::default() };
            permitted(|p| shell.upload(p, &source, &remote, &how, &mut meter)).unwrap();
            assert_eq!(seen.last(), Some(&(SIZE, SIZE)));
            assert!(seen.len() > 100 && seen.windows(2).all(|w| w[0].0 <= w[1].0));
            let back = sshd.path("back");
            let mut seen = Vec::new();
            assert_eq!(shell.download(&remote, &back, &mut |d, t| seen.push((d, t))).unwrap(), SIZE);
            assert_eq!(seen.last(), Some(&(SIZE, SIZE)));
            assert!(fs::read(&back).unwrap() == bytes);
            assert_eq!(fs::metadata(&back).unwrap().mode() & 0o777, 0o640);
            assert_eq!(code(&shell.download("/no/such", &back, &mut |_, _| {}).unwrap_err()), "no_such_file");
            assert_eq!(code(&shell.download("/etc", &back, &mut |_, _| {}).unwrap_err()), "not_a_file");
            assert!(fs::read(&back).unwrap() == bytes, "a failed download leaves the file alone");
            fs::remove_file(&back).unwrap();
            fs::remove_file(sshd.path("remote")).unwrap();
        }
        let left = fs::read_dir(sshd.dir.path()).unwrap();
        assert!(left.flatten().all(|e| !e.file_name().to_string_lossy().starts_with(".kvmsh")));
    });
}

#[test]
fn an_upload_that_is_cancelled_leaves_nothing_behind() {
    within(20, || {
        let sshd = Sshd::start();
        let dir = sshd.path("files");
        fs::create_dir(&dir).unwrap();
        let source = sshd.path("source");
        fs::File::create(&source).unwrap().set_len(8 << 30).unwrap();
        fs::write(sshd.path(".bashrc"), "sleep 0.5\n").unwrap();
        for target in [sshd.target("ed25519"), Target::local("here", "qemu:///system")] {
            let cancel = Cancel::new();
            let shell = Shell::new(target, Settings { cancel: cancel.clone(), ..sshd.settings() });
            let remote = dir.join("big").display().to_string();
            let mut meter = |done, _| {
                if done > 2 << 20 {
                    cancel.stop(Stop::Interrupted);
                }
            };
            let how = WriteOptions::default();
            let error = permitted(|p| shell.upload(p, &source, &remote, &how, &mut meter)).unwrap_err();
            assert_eq!(code(&error), "interrupted");
            let until = Instant::now() + Duration::from_secs(5);
            while fs::read_dir(&dir).unwrap().count() > 0 {
                assert!(Instant::now() < until, "{:?}", fs::read_dir(&dir).unwrap().flatten().next());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
}
