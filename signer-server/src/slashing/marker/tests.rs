use super::*;

const CLUSTER_A: Uuid = Uuid::from_u128(1);
const CLUSTER_B: Uuid = Uuid::from_u128(2);

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
    places.write(CLUSTER_A, 0, Path::new("db.sqlite")).unwrap();
    let expected = ["keys", "more-keys"].map(|name| Marker {
        path: root.path().join(name).join(FILE_NAME),
        cluster: CLUSTER_A,
        batches: 0,
    });
    assert_eq!(places.read().unwrap(), expected);
    let left_over = fs::read_dir(root.path().join("keys")).unwrap().count();
    assert_eq!(left_over, 1, "no temporary file stays");
}

#[test]
fn without_a_writable_folder_the_database_folder_gets_it() {
    let root = tempfile::tempdir().unwrap();
    let places = Places::new(vec![root.path().join("absent")], root.path());
    places.write(CLUSTER_A, 0, Path::new("db.sqlite")).unwrap();
    let path = root.path().join(FILE_NAME_BESIDE_DATABASE);
    assert_eq!(places.read().unwrap(), [Marker { path, cluster: CLUSTER_A, batches: 0 }]);

    // Once a key folder is there, both follow a new database.
    let places = Places::new(vec![root.path().to_owned()], root.path());
    places.write(CLUSTER_B, 0, Path::new("db.sqlite")).unwrap();
    let clusters: Vec<Uuid> = places.read().unwrap().iter().map(|found| found.cluster).collect();
    assert_eq!(clusters, [CLUSTER_B, CLUSTER_B]);
}

#[test]
fn nowhere_to_write_is_an_error_that_names_the_file() {
    let root = tempfile::tempdir().unwrap();
    let places = Places::new(vec![], &root.path().join("absent"));
    let error = places.write(CLUSTER_A, 0, Path::new("db.sqlite")).unwrap_err();
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
    places.write(CLUSTER_B, 0, Path::new("db.sqlite")).unwrap();
    assert!(places.read().unwrap().iter().all(|marker| marker.cluster == CLUSTER_B));
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
        markers.iter().map(|marker| (marker.cluster, marker.batches)).collect::<Vec<_>>()
    };
    places.advance(CLUSTER_A, 7, database);
    assert_eq!(numbers(), [], "no marker before keys are registered");
    places.write(CLUSTER_A, 7, database).unwrap();
    places.advance(CLUSTER_A, 9, database);
    assert_eq!(numbers(), [(CLUSTER_A, 9); 2]);
    places.advance(CLUSTER_A, 8, database);
    places.write(CLUSTER_A, 8, database).unwrap();
    assert_eq!(numbers(), [(CLUSTER_A, 9); 2]);
    places.advance(CLUSTER_B, 20, database);
    assert_eq!(numbers(), [(CLUSTER_A, 9); 2], "the markers belong to another database");
    places.write(CLUSTER_B, 2, database).unwrap();
    assert_eq!(numbers(), [(CLUSTER_B, 2); 2]);
}

#[test]
fn marker_without_a_number_is_readable_and_one_with_a_bad_number_is_damaged() {
    let Folders { root, places } = folders();
    let path = root.path().join("keys").join(FILE_NAME);
    fs::write(&path, format!("Keep this file.\n{CLUSTER}{CLUSTER_A}\ndatabase: x\n")).unwrap();
    let expected = Marker { path: path.clone(), cluster: CLUSTER_A, batches: 0 };
    assert_eq!(places.read().unwrap(), [expected]);
    for number in ["", "-1", "many", "18446744073709551616"] {
        fs::write(&path, format!("{CLUSTER}{CLUSTER_A}\n{BATCHES}{number}\n")).unwrap();
        assert!(matches!(places.read(), Err(MarkerError::Damaged { .. })), "{number:?}");
    }
}
