//! Key files as operators have them: mounted secrets, mounts that come and go, files that may not
//! be read, passwords with line ends; and what the log says of all that.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use bytes::Bytes;
use http::Method;
use midslot_tests::{
    Signer, SignerOptions, key_files,
    key_files::{Cost, KeystoreFolders},
};

/// A signer that logs everything, and its bulk folders with the first `count` interop keys.
fn bulk(count: u64) -> (SignerOptions, KeystoreFolders) {
    let options = SignerOptions::empty().root("--logging=TRACE");
    let folders = KeystoreFolders::in_folder(options.folder.path());
    for index in 0..count {
        folders.write(index, Cost::Cheap);
    }
    (options.eth2(folders.keystores_option()).eth2(folders.passwords_option()), folders)
}

/// The loaded interop keys below 10, by index.
async fn loaded(signer: &Signer) -> Vec<u64> {
    let answer = signer.client.get("/api/v1/eth2/publicKeys").await.unwrap().json();
    let keys: Vec<&str> =
        answer.as_array().unwrap().iter().filter_map(|key| key.as_str()).collect();
    let found: Vec<u64> =
        (0..10).filter(|index| keys.contains(&&*key_files::public_key(*index))).collect();
    assert_eq!(found.len(), keys.len(), "a key that nobody wrote");
    found
}

/// Reloads; gives the number of errors.
async fn reload(signer: &Signer) -> usize {
    signer.client.send(Method::POST, "/reload", &[], Bytes::new()).await.unwrap();
    loop {
        let status = signer.client.get("/reload").await.unwrap().json();
        match status["status"].as_str().unwrap() {
            "running" => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            "completed" => return 0,
            "completed_with_errors" => {
                let text = status["lastError"].as_str().unwrap();
                return text.split(' ').find_map(|word| word.parse().ok()).unwrap();
            }
            other => panic!("{other}: {}", signer.options.log()),
        }
    }
}

/// Puts a link in place of another at once, as Kubernetes does.
fn point(link: &Path, target: &str) {
    let new = link.with_file_name("..new");
    std::os::unix::fs::symlink(target, &new).unwrap();
    fs::rename(new, link).unwrap();
}

#[tokio::test]
async fn a_mounted_secret_is_read_through_its_links_and_its_rotation_is_seen() {
    let (options, folders) = bulk(3);
    let mount = options.folder.path().join("mount");
    // Each version of the secret is a hidden folder; `..data` points to the current one, and the
    // visible files point through it.
    for (version, indices) in [("..1", [0, 1]), ("..2", [1, 2])] {
        fs::create_dir_all(mount.join(version)).unwrap();
        for index in indices {
            for (from, kind) in [(&folders.keystores, "json"), (&folders.passwords, "txt")] {
                let name = format!("keystore-{index}.{kind}");
                fs::copy(from.join(&name), mount.join(version).join(&name)).unwrap();
            }
        }
    }
    let link = |index: u64| {
        for kind in ["json", "txt"] {
            let name = format!("keystore-{index}.{kind}");
            point(&mount.join(&name), &format!("..data/{name}"));
        }
    };
    point(&mount.join("..data"), "..1");
    link(0);
    link(1);
    let mut options = options;
    options.eth2.clear();
    let signer = options
        .eth2(format!("--keystores-path={}", mount.display()))
        .eth2(format!("--keystores-passwords-path={}", mount.display()))
        .start()
        .await
        .unwrap();
    assert_eq!(loaded(&signer).await, [0, 1]);

    point(&mount.join("..data"), "..2");
    for kind in ["json", "txt"] {
        fs::remove_file(mount.join(format!("keystore-0.{kind}"))).unwrap();
    }
    link(2);
    assert_eq!(reload(&signer).await, 0);
    assert_eq!(loaded(&signer).await, [1, 2]);

    // In the middle of a rotation that went wrong nothing is lost.
    fs::remove_file(mount.join("..data")).unwrap();
    assert_eq!(reload(&signer).await, 2);
    assert_eq!(loaded(&signer).await, [1, 2]);
}

#[tokio::test]
async fn a_folder_that_vanishes_keeps_its_keys_and_one_that_is_empty_is_warned_about() {
    let (options, folders) = bulk(2);
    let signer = options.start().await.unwrap();
    let away = folders.keystores.with_extension("away");

    fs::rename(&folders.keystores, &away).unwrap();
    assert_eq!(reload(&signer).await, 1);
    assert_eq!(loaded(&signer).await, [0, 1]);
    assert!(!signer.options.log().contains("no longer signed with"));

    // What is left when a mount is lost, but also when an operator takes the keys away.
    fs::create_dir(&folders.keystores).unwrap();
    assert_eq!(reload(&signer).await, 0);
    assert!(loaded(&signer).await.is_empty());
    let log = signer.options.log();
    for word in ["WARN", "no longer signed with", "removed=2", "if it is a mount"] {
        assert!(log.contains(word), "{word} in:\n{log}");
    }

    fs::remove_dir_all(&folders.keystores).unwrap();
    fs::rename(&away, &folders.keystores).unwrap();
    assert_eq!(reload(&signer).await, 0);
    assert_eq!(loaded(&signer).await, [0, 1]);
}

#[tokio::test]
async fn files_that_may_not_be_read_are_named_and_the_others_load() {
    let (options, folders) = bulk(4);
    let closed = [
        folders.keystores.join("keystore-0.json"),
        folders.passwords.join("keystore-1.txt"),
        key_files::raw_key_path(&options.key_folder(), 5),
    ];
    key_files::write_raw_key(&options.key_folder(), 5);
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for path in &closed {
        set_mode(path, 0o000);
    }
    let signer = options.unprivileged().start().await.unwrap();
    assert_eq!(loaded(&signer).await, [2, 3]);
    let log = signer.options.log();
    for path in &closed {
        let expected = format!("cannot read {}: Permission denied", path.display());
        assert!(log.contains(&expected), "{expected} in:\n{log}");
    }

    // A whole folder that is closed keeps its keys; once all is open, all keys are there.
    set_mode(&folders.keystores, 0o000);
    assert_eq!(reload(&signer).await, 2);
    assert_eq!(loaded(&signer).await, [2, 3]);
    set_mode(&folders.keystores, 0o755);
    for path in &closed {
        set_mode(path, 0o644);
    }
    assert_eq!(reload(&signer).await, 0);
    assert_eq!(loaded(&signer).await, [0, 1, 2, 3, 5]);
}

#[tokio::test]
async fn line_ends_of_password_files_do_not_matter_and_spaces_do() {
    let (options, folders) = bulk(6);
    let write = |index: u64, ending: &str| {
        let text = format!("{}{ending}", KeystoreFolders::password(index));
        fs::write(folders.passwords.join(format!("keystore-{index}.txt")), text).unwrap();
    };
    for (index, ending) in [(0, "\n"), (1, "\r\n"), (2, "\n\n"), (3, " "), (4, "\nmore")] {
        write(index, ending);
    }
    fs::write(folders.passwords.join("keystore-5.txt"), "").unwrap();
    let signer = options.start().await.unwrap();
    assert_eq!(loaded(&signer).await, [0, 1, 2]);
    let log = signer.options.log();
    for index in [3, 4, 5] {
        let expected = format!("keystore-{index}.txt: wrong password");
        assert!(log.contains(&expected), "{expected} in:\n{log}");
    }
}

#[tokio::test]
async fn odd_file_names_are_loaded_and_cannot_forge_log_lines() {
    let (options, folders) = bulk(3);
    let rename = |index: u64, name: &str| {
        for (folder, kind) in [(&folders.keystores, "json"), (&folders.passwords, "txt")] {
            let from = folder.join(format!("keystore-{index}.{kind}"));
            fs::rename(from, folder.join(format!("{name}.{kind}"))).unwrap();
        }
    };
    rename(0, "ümläut 🔑 with spaces.and.dots");
    rename(1, "quote'\"$(x)");
    rename(2, "line\n2026-01-01 | main | ERROR | forged");
    fs::write(folders.passwords.join("line\n2026-01-01 | main | ERROR | forged.txt"), "x").unwrap();
    let signer = options.start().await.unwrap();
    assert_eq!(loaded(&signer).await, [0, 1]);
    let log = signer.options.log();
    assert!(log.contains("forged"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("2026-01-01")), "{log}");
}

#[tokio::test]
async fn no_secret_is_logged_at_the_lowest_level_whatever_is_wrong() {
    let (options, folders) = bulk(4);
    let keys = options.key_folder();
    let secret = |index: u64| const_hex::encode(*signer_server::keys::interop_secret_key(index));
    let password = "hunter2-the-password";
    fs::write(folders.passwords.join("keystore-1.txt"), password).unwrap();
    fs::write(folders.keystores.join("keystore-2.json"), password).unwrap();
    fs::write(folders.keystores.join("keystore-3.json"), format!("{{\"crypto\": \"{password}\"}}"))
        .unwrap();
    for (index, text) in [
        (0, "type: file-raw\nprivateKey: \"SECRET\"\n"),
        (1, "type: file-raw\nprivateKey: \"SECRETff\"\n"),
        (2, "type: file-raw\nprivateKey: [SECRET]\n"),
        (3, "type: file-raw\nprivateKey: {a: SECRET}\n"),
        (4, "type: SECRET\nprivateKey: b\n"),
        (5, "SECRET"),
        (6, "type: file-raw\nprivateKey: *SECRET\n"),
        (7, "type: file-raw\nprivateKey: !!int SECRET\n"),
        (8, "type: file-raw\nprivateKey: \"SECRET\n"),
        (9, "type: file-raw\nprivateKey: SECRET\nprivateKey: SECRET\n"),
        (10, "type: file-raw\nkeyType: SECRET\nprivateKey: SECRET\n"),
        (11, "type: file-raw\nSECRET: 1\nprivateKey:\n"),
        (12, "type: file-raw\n\tprivateKey: SECRET\n"),
        (13, "type: hashicorp\nserverHost: h\nkeyPath: /p\ntoken: SECRET\n"),
    ] {
        let text = text.replace("SECRET", &secret(index));
        fs::write(keys.join(format!("{index}.yaml")), text).unwrap();
    }
    let signer = options.start().await.unwrap();
    assert_eq!(reload(&signer).await, 3 + 13);
    assert_eq!(loaded(&signer).await, [0], "from both sources");
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0));
    let log = options.log();
    assert!(log.contains("the same key is given twice"), "{log}");
    for index in 0..14 {
        // Also no part of it, as a parser's snippet would show.
        let secret = secret(index);
        for part in [&secret[..12], &secret[52..]] {
            assert!(!log.contains(part), "part of the secret key of {index} in:\n{log}");
        }
        assert!(!log.contains(&KeystoreFolders::password(index)), "a password in:\n{log}");
    }
    assert!(!log.contains("hunter2"), "a password in:\n{log}");
}
