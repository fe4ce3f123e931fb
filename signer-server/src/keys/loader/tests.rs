mod reload;

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::{
    bls::SecretKey,
    keys::{
        BulkKeystores, ConfigFiles, KeystorePasswords, Registry, interop_secret_key,
        keystore::{KdfParameters, Keystore, Password},
    },
};

/// Three folders: key configuration files, keystores, passwords.
struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["config", "keystores", "passwords"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// `config/<name>.yaml` with the secret key itself.
    fn write_raw(&self, name: &str, index: u64) {
        self.write(&format!("config/{name}.yaml"), &raw_yaml(index));
    }

    /// `keystores/<name>.json` with the password in `passwords/<name>.txt`.
    fn write_keystore(&self, name: &str, index: u64, password: &str) {
        let keystore = Keystore::encrypt(
            &interop_secret_key(index),
            &Password::new(password),
            KdfParameters::Scrypt { n: 2, r: 1, p: 1 },
            "",
        );
        self.write(&format!("keystores/{name}.json"), &keystore.unwrap().to_json());
        self.write(&format!("passwords/{name}.txt"), password);
    }

    fn loader(&self) -> Loader {
        self.loader_with(KeystorePasswords::Directory(self.path("passwords")))
    }

    fn loader_with(&self, passwords: KeystorePasswords) -> Loader {
        Loader::new(KeySources {
            config_files: ConfigFiles {
                directory: self.path("config"),
                max_file_size_bytes: ConfigFiles::DEFAULT_MAX_FILE_SIZE_BYTES,
            },
            bulk_keystores: Some(BulkKeystores { directory: self.path("keystores"), passwords }),
            threads: Some(2),
        })
    }
}

fn raw_yaml(index: u64) -> String {
    format!("type: file-raw\nprivateKey: 0x{}\n", const_hex::encode(*interop_secret_key(index)))
}

fn public_key(index: u64) -> PublicKey {
    SecretKey::from_bytes(&interop_secret_key(index)).unwrap().public_key()
}

fn sorted(indices: impl IntoIterator<Item = u64>) -> Vec<PublicKey> {
    let mut keys: Vec<PublicKey> = indices.into_iter().map(public_key).collect();
    keys.sort_unstable();
    keys
}

fn keys(outcome: &LoadOutcome) -> Vec<PublicKey> {
    outcome.snapshot.public_keys().to_vec()
}

/// Numbers of keys and of errors per source.
fn counts(outcome: &LoadOutcome) -> Vec<(usize, usize)> {
    outcome.reports.iter().map(|report| (report.keys_loaded, report.errors.len())).collect()
}

/// Whether the very same key object is in both, so that it was not opened again.
fn same_object(first: &Snapshot, second: &Snapshot, index: u64) -> bool {
    let get = |snapshot: &Snapshot| Arc::clone(snapshot.get(&public_key(index)).unwrap());
    Arc::ptr_eq(&get(first), &get(second))
}

#[test]
fn keys_of_all_sources_are_loaded_and_found() {
    let folders = Folders::new();
    folders.write_raw("a", 0);
    folders.write("config/b.yml", &format!("{}---\n{}", raw_yaml(1), raw_yaml(2)));
    folders.write(
        "config/c.YAML",
        "type: file-keystore\nkeystoreFile: ../keystores/one.json\n\
         keystorePasswordFile: ../passwords/one.txt\n",
    );
    folders.write("config/secp.yaml", "type: file-raw\nkeyType: SECP256K1\nprivateKey: 0x01\n");
    folders.write_keystore("one", 3, "first");
    folders.write_keystore("two", 4, "trailing space ");
    let outcome = folders.loader().load(&Snapshot::default());
    assert_eq!(counts(&outcome), [(4, 0), (2, 0)]);
    assert_eq!(keys(&outcome), sorted(0..5));
    assert_eq!(outcome.added, sorted(0..5));
    assert!(outcome.removed.is_empty());
    assert_eq!(
        outcome.reports.iter().map(|report| report.source.as_str()).collect::<Vec<_>>(),
        ["config-files-loading", "keystores-bulk-loading"]
    );

    let registry = Registry::default();
    assert!(registry.is_empty());
    registry.install(outcome.snapshot);
    assert_eq!(registry.len(), 5);
    assert_eq!(registry.public_keys().to_vec(), sorted(0..5));
    let key = registry.get(&public_key(4)).unwrap();
    assert_eq!(key.secret_key().public_key(), public_key(4));
    assert_eq!(key.origin(), folders.path("keystores/two.json"));
    assert!(registry.get(&public_key(5)).is_none());
    let debug = format!("{key:?}");
    assert!(debug.contains(&public_key(4).to_string()));
    assert!(!debug.contains(&const_hex::encode(*interop_secret_key(4))));
}

#[test]
fn one_bad_file_among_many_is_reported_and_stops_nothing() {
    let folders = Folders::new();
    for index in 0..20 {
        folders.write_keystore(&format!("k{index:02}"), index, "s3cret-password");
        folders.write_raw(&format!("r{index:02}"), 100 + index);
    }
    let secret = const_hex::encode(*interop_secret_key(200));
    folders.write("config/half.yaml", &format!("{}---\ntype: nonsense\n", raw_yaml(200)));
    folders.write("config/zero.yaml", "type: file-raw\nprivateKey: 0x00\n");
    folders.write("config/broken.yaml", &format!("type: file-raw\nprivateKey: [{secret}"));
    folders.write("keystores/broken.json", "{\"crypto\": s3cret-password");
    folders.write_keystore("mismatch", 300, "s3cret-password");
    folders.write("passwords/mismatch.txt", "other-s3cret");
    folders.write_keystore("alone", 301, "s3cret-password");
    fs::remove_file(folders.path("passwords/alone.txt")).unwrap();

    let outcome = folders.loader().load(&Snapshot::default());
    assert_eq!(counts(&outcome), [(20, 3), (20, 3)]);
    assert_eq!(outcome.error_count(), 6);
    assert_eq!(keys(&outcome), sorted((0..20).chain(100..120)));
    let texts: Vec<String> = outcome
        .reports
        .iter()
        .flat_map(|report| &report.errors)
        .map(|error| format!("{error} | {error:?}"))
        .collect();
    for (text, expected) in texts.iter().zip([
        "broken.yaml: line",
        "half.yaml: key definition at line 4: `type` must be",
        "zero.yaml: key definition at line 1: `privateKey` is not a BLS12-381 secret key",
        "alone.json: cannot read",
        "broken.json: not valid JSON at line 1, column 12",
        "passwords/mismatch.txt: wrong password",
    ]) {
        assert!(text.contains(expected), "{text}\nlacks {expected}");
        assert!(!text.contains(&secret) && !text.contains("s3cret"), "{text}");
    }
    assert!(texts[3].contains("passwords/alone.txt"), "{}", texts[3]);
    // Where the failed file is the one that the reason is about, it is named once.
    for (text, name) in [(&texts[4], "broken.json"), (&texts[5], "mismatch.json")] {
        let (shown, _) = text.split_once(" | ").unwrap();
        assert_eq!(shown.matches(name).count(), 1, "{shown}");
    }
}

#[test]
fn one_password_file_opens_all_keystores() {
    let folders = Folders::new();
    folders.write_keystore("a", 0, "shared ");
    folders.write_keystore("b", 1, "shared ");
    folders.write("shared.txt", "shared \n");
    let loader = folders.loader_with(KeystorePasswords::File(folders.path("shared.txt")));
    assert_eq!(counts(&loader.load(&Snapshot::default())), [(0, 0), (2, 0)]);
    // The whole file counts, not its first line; and spaces do.
    for wrong in ["shared", "shared \nmore"] {
        folders.write("shared.txt", wrong);
        assert_eq!(counts(&loader.load(&Snapshot::default())), [(0, 0), (0, 2)], "{wrong:?}");
    }
}

#[test]
fn password_files_are_found_by_the_name_of_the_keystore() {
    let folders = Folders::new();
    folders.write_keystore("keystore.with.dots", 0, "a");
    let path = folders.path("keystores/keystore.with.dots.json");
    fs::rename(path, folders.path("keystores/keystore.with.dots.JSON")).unwrap();
    assert_eq!(keys(&folders.loader().load(&Snapshot::default())), sorted([0]));
}

#[test]
fn empty_folders_give_nothing_and_missing_folders_one_error() {
    let folders = Folders::new();
    let empty = folders.loader().load(&Snapshot::default());
    assert_eq!(counts(&empty), [(0, 0), (0, 0)]);
    fs::remove_dir(folders.path("config")).unwrap();
    let missing = folders.loader().load(&Snapshot::default());
    assert_eq!(counts(&missing), [(0, 1), (0, 0)]);
    let error = &missing.reports[0].errors[0];
    assert_eq!(error.path, folders.path("config"));
    assert!(error.to_string().contains("cannot read the folder"), "{error}");
}

#[test]
fn without_a_bulk_folder_there_is_no_report_for_one() {
    let folders = Folders::new();
    let loader = Loader::new(KeySources {
        config_files: ConfigFiles { directory: folders.path("config"), max_file_size_bytes: 100 },
        bulk_keystores: None,
        threads: None,
    });
    let outcome = loader.load(&Snapshot::default());
    assert_eq!(counts(&outcome), [(0, 0)]);
    assert_eq!(outcome.reports[0].source, SourceId::ConfigFiles);
}

#[test]
fn of_a_duplicate_key_the_first_is_kept() {
    let folders = Folders::new();
    folders.write_keystore("a", 0, "a");
    folders.write_raw("z", 0);
    folders.write_raw("y", 0);
    let first = folders.loader().load(&Snapshot::default());
    assert_eq!(keys(&first), sorted([0]));
    assert_eq!(counts(&first), [(2, 0), (1, 0)]);
    let origin =
        |outcome: &LoadOutcome| outcome.snapshot.get(&public_key(0)).unwrap().origin().to_owned();
    assert_eq!(origin(&first), folders.path("config/y.yaml"));

    // While one of them is left, the key stays.
    for name in ["config/y.yaml", "config/z.yaml"] {
        fs::remove_file(folders.path(name)).unwrap();
    }
    let second = folders.loader().load(&first.snapshot);
    assert_eq!(origin(&second), folders.path("keystores/a.json"));
    assert!(second.added.is_empty() && second.removed.is_empty());
}

/// A source whose files hold whatever the test says.
struct Trap;

impl KeySource for Trap {
    fn id(&self) -> SourceId {
        SourceId::BulkKeystores
    }

    fn directory(&self) -> &Path {
        Path::new("trap")
    }

    fn list(&self) -> Result<Vec<PathBuf>, LoadFailure> {
        Ok(vec!["bad".into(), "good".into()])
    }

    fn read(&self, file: &Path, _: &mut Vec<Watched>) -> Result<Vec<KeyMaterial>, LoadFailure> {
        assert!(file.ends_with("good"), "s3cret");
        Ok(vec![KeyMaterial::Raw { secret: interop_secret_key(0), line: 1 }])
    }
}

#[test]
fn a_panic_is_the_error_of_its_file_alone() {
    let loader = Loader { sources: vec![Box::new(Trap)], threads: Some(1) };
    let outcome = loader.load(&Snapshot::default());
    assert_eq!(counts(&outcome), [(1, 1)]);
    assert_eq!(keys(&outcome), sorted([0]));
    let error = &outcome.reports[0].errors[0];
    assert_eq!(error.to_string(), "bad: internal error while loading this file");
    assert!(!format!("{error:?}").contains("s3cret"));
}

#[test]
fn a_keystore_that_needs_more_memory_than_there_is_is_refused_before_it_starts() {
    let keystore = Keystore::encrypt(
        &interop_secret_key(0),
        &Password::new("a"),
        KdfParameters::Scrypt { n: 4, r: 1, p: 1 },
        "",
    )
    .unwrap();
    let needed = keystore.memory_bytes();
    let outcome = |available_bytes| {
        let material = KeyMaterial::Keystore {
            password_file: PathBuf::from("password"),
            path: "k".into(),
            keystore: Box::new(Keystore::parse(keystore.to_json().as_bytes()).unwrap()),
            password: Password::new("a"),
        };
        let file =
            ChangedFile { source: 0, path: "k".into(), watched: vec![], materials: vec![material] };
        let mut states = [SourceLoad {
            source: &Trap,
            previous: None,
            records: BTreeMap::new(),
            errors: vec![],
        }];
        open_keys(&Pool::new(Some(1), None), Some(available_bytes), vec![file], &mut states);
        states[0].report()
    };
    assert_eq!(outcome(needed).keys_loaded, 1);
    let refused = outcome(needed - 1);
    assert!(matches!(refused.errors[0].reason, LoadFailure::Memory { .. }));
    assert_eq!(refused.keys_loaded, 0);
}
