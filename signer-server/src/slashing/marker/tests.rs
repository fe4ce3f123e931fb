use super::*;

const A: Identity = Identity::of_file(Uuid::from_u128(1));
const B: Identity = Identity::of_file(Uuid::from_u128(2));

struct Folders {
    root: tempfile::TempDir,
    places: Places,
}

/// Two key folders, a path that can't be one, and a folder for the database.
fn folders() -> Folders {
    let root = tempfile::tempdir().unwrap();
    for name in ["keys", "more-keys", "database"] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    fs::write(root.path().join("file"), "").unwrap();
    let directories = ["keys", "file", "absent", "more-keys"].map(|name| root.path().join(name));
    let places = Places::new(directories.to_vec(), &root.path().join("database"));
    Folders { root, places }
}

#[test]
fn every_writable_folder_gets_a_marker() {
    let Folders { root, places } = folders();
    assert_eq!(places.read().unwrap(), []);
    places.write(&A, 0, Path::new("db.sqlite")).unwrap();
    let expected = ["keys", "more-keys"].map(|name| Marker {
        path: root.path().join(name).join(FILE_NAME),
        memory: Memory { identity: A, transactions: 0, halted: None },
    });
    assert_eq!(places.read().unwrap(), expected);
    let left_over = fs::read_dir(root.path().join("keys")).unwrap().count();
    assert_eq!(left_over, 1, "no temporary file stays");
}

#[test]
fn without_a_writable_folder_the_database_folder_gets_it() {
    let root = tempfile::tempdir().unwrap();
    let places = Places::new(vec![root.path().join("absent")], root.path());
    places.write(&A, 0, Path::new("db.sqlite")).unwrap();
    let path = root.path().join(FILE_NAME_BESIDE_DATABASE);
    assert_eq!(
        places.read().unwrap(),
        [Marker { path, memory: Memory { identity: A, transactions: 0, halted: None } }]
    );

    // Once a key folder is there, both follow a new database.
    let places = Places::new(vec![root.path().to_owned()], root.path());
    places.write(&B, 0, Path::new("db.sqlite")).unwrap();
    let found: Vec<_> =
        places.read().unwrap().into_iter().map(|marker| marker.memory.identity).collect();
    assert_eq!(found, [B, B]);
}

#[test]
fn nowhere_to_write_is_an_error_that_names_the_file() {
    let root = tempfile::tempdir().unwrap();
    let places = Places::new(vec![], &root.path().join("absent"));
    let error = places.write(&A, 0, Path::new("db.sqlite")).unwrap_err();
    assert!(
        matches!(&error, MarkerError::Unwritable { path, .. } if path.ends_with(FILE_NAME_BESIDE_DATABASE))
    );
}

#[test]
fn damaged_marker_is_an_error_and_a_write_repairs_it() {
    let Folders { root, places } = folders();
    let path = root.path().join("keys").join(FILE_NAME);
    for text in ["", "cluster: nonsense\n", "database: x\n"] {
        fs::write(&path, text).unwrap();
        assert!(
            matches!(places.read(), Err(MarkerError::Damaged { path: found }) if found == path)
        );
    }
    places.write(&B, 0, Path::new("db.sqlite")).unwrap();
    assert!(places.read().unwrap().iter().all(|marker| marker.memory.identity == B));
}

#[test]
fn only_another_folder_than_the_databases_counts_as_apart() {
    let Folders { root, places } = folders();
    let [keys, database] = ["keys", "database"].map(|name| root.path().join(name));
    // The same folder by another name.
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&database, &link).unwrap();
    assert!(places.is_any_apart(&[&keys, &database]));
    assert!(!places.is_any_apart(&[&database, &link]));
    assert!(!places.is_any_apart(&[]));
}

#[test]
fn the_number_of_transactions_is_remembered_and_never_goes_down() {
    let Folders { root: _root, places } = folders();
    let database = Path::new("db.sqlite");
    let numbers = || {
        let markers = places.read().unwrap();
        markers
            .into_iter()
            .map(|marker| (marker.memory.identity, marker.memory.transactions))
            .collect::<Vec<_>>()
    };
    places.advance(&A, 7, database);
    assert_eq!(numbers(), [], "no marker before keys are registered");
    places.write(&A, 7, database).unwrap();
    places.advance(&A, 9, database);
    assert_eq!(numbers(), [(A, 9), (A, 9)]);
    places.advance(&A, 8, database);
    places.write(&A, 8, database).unwrap();
    assert_eq!(numbers(), [(A, 9), (A, 9)]);
    places.advance(&B, 20, database);
    assert_eq!(numbers(), [(A, 9), (A, 9)], "the markers belong to another database");
    places.write(&B, 2, database).unwrap();
    assert_eq!(numbers(), [(B, 2), (B, 2)]);
}

#[test]
fn marker_without_a_number_is_readable_and_one_with_a_bad_number_is_damaged() {
    let Folders { root, places } = folders();
    let path = root.path().join("keys").join(FILE_NAME);
    fs::write(&path, format!("Keep this file.\n{CLUSTER}{}\ndatabase: x\n", A.cluster)).unwrap();
    let expected = Marker {
        path: path.clone(),
        memory: Memory { identity: A, transactions: 0, halted: None },
    };
    assert_eq!(places.read().unwrap(), [expected]);
    for number in ["", "-1", "many", "18446744073709551616"] {
        fs::write(&path, format!("{CLUSTER}{}\n{TRANSACTIONS}{number}\n", A.cluster)).unwrap();
        assert!(matches!(places.read(), Err(MarkerError::Damaged { .. })), "{number:?}");
    }
}

fn on_server(table: i64, timeline: &str) -> Identity {
    let history =
        History { system: "7412345678901234567".to_owned(), timeline: timeline.to_owned() };
    Identity { server: Some(Server { table, history: Some(history) }), ..A }
}

#[test]
fn servers_are_remembered_whole_and_markers_of_earlier_versions_learn_of_them() {
    let Folders { root: _root, places } = folders();
    let database = Path::new("postgresql://db/signer");
    let all = || {
        let markers = places.read().unwrap();
        markers
            .into_iter()
            .map(|marker| (marker.memory.identity, marker.memory.transactions))
            .collect::<Vec<_>>()
    };
    // What an earlier version wrote.
    places.write(&A, 0, database).unwrap();
    let first = on_server(16_400, "00000001");
    places.advance(&first, 700, database);
    assert_eq!(all(), [(first.clone(), 700), (first.clone(), 700)]);

    // A signer that still has the old server before it does not speak for the new one, nor back.
    for other in [on_server(16_400, "00000002"), on_server(16_500, "00000001")] {
        places.advance(&other, 800, database);
        assert_eq!(all()[0], (first.clone(), 700));
    }
    // After a confirmation even the number may be lower.
    let second = on_server(16_400, "00000002");
    places.write(&second, 600, database).unwrap();
    places.advance(&first, 900, database);
    assert_eq!(all(), [(second.clone(), 600), (second, 600)]);

    // An engine that tells no history.
    let silent = Identity { server: Some(Server { table: 7, history: None }), ..A };
    places.write(&silent, 5, database).unwrap();
    assert_eq!(all()[0], (silent, 5));
}

#[test]
fn half_a_server_is_damage() {
    let Folders { root, places } = folders();
    let path = root.path().join("keys").join(FILE_NAME);
    for lines in [
        "table: many\nsystem: 7\ntimeline: 00000001\n",
        "table: 7\nsystem: 7\n",
        "table: 7\ntimeline: 00000001\n",
        "table: 7\nsystem: \ntimeline: 00000001\n",
        "system: 7\ntimeline: 00000001\n",
    ] {
        fs::write(&path, format!("{CLUSTER}{}\n{lines}", A.cluster)).unwrap();
        assert!(matches!(places.read(), Err(MarkerError::Damaged { .. })), "{lines}");
    }
}

#[test]
fn halt_is_remembered_until_it_is_confirmed() {
    let Folders { root: _root, places } = folders();
    let database = Path::new("postgresql://db/signer");
    let (first, why) = (on_server(16_400, "00000001"), "the database has lost records");
    let halts = || {
        let markers = places.read().unwrap();
        markers.into_iter().map(|marker| marker.memory.halted).collect::<Vec<_>>()
    };
    places.write(&first, 7, database).unwrap();
    places.note_halt(&first, 7, database, why);
    places.advance(&first, 900, database);
    places.write(&first, 901, database).unwrap();
    assert_eq!(halts(), [Some(why.to_owned()), Some(why.to_owned())]);
    places.note_halt(&on_server(16_400, "00000002"), 7, database, "another one");
    assert_eq!(halts()[0].as_deref(), Some(why));
    places.confirm(&first, 901, database).unwrap();
    assert_eq!(halts(), [None, None]);
}
