//! What a second load makes of what the first one found.

use super::*;

#[test]
fn a_reload_is_a_difference() {
    let folders = Folders::new();
    folders.write_raw("stays", 0);
    folders.write_raw("goes", 1);
    folders.write_raw("changes", 2);
    folders.write_keystore("stays", 3, "a");
    folders.write_keystore("goes", 4, "a");
    let loader = folders.loader();
    let first = loader.load(&Snapshot::default());
    assert_eq!(keys(&first), sorted(0..5));

    fs::remove_file(folders.path("config/goes.yaml")).unwrap();
    fs::remove_file(folders.path("keystores/goes.json")).unwrap();
    folders.write("config/changes.yaml", &format!("# another key\n{}", raw_yaml(5)));
    folders.write_keystore("new", 6, "b");
    let second = loader.load(&first.snapshot);
    assert_eq!(keys(&second), sorted([0, 3, 5, 6]));
    assert_eq!(second.added, sorted([5, 6]));
    assert_eq!(second.removed, sorted([1, 2, 4]));
    assert_eq!(second.error_count(), 0);
    assert!(same_object(&first.snapshot, &second.snapshot, 0));
    assert!(same_object(&first.snapshot, &second.snapshot, 3));
}

#[test]
fn a_file_that_fails_now_keeps_its_keys_until_it_is_good_or_gone() {
    let folders = Folders::new();
    folders.write("config/a.yaml", &format!("{}---\n{}", raw_yaml(0), raw_yaml(1)));
    folders.write_keystore("b", 2, "a");
    let loader = folders.loader();
    let first = loader.load(&Snapshot::default());

    folders.write("config/a.yaml", "type: file-raw\n");
    folders.write("passwords/b.txt", "not the password");
    let second = loader.load(&first.snapshot);
    assert_eq!(counts(&second), [(2, 1), (1, 1)]);
    assert_eq!(keys(&second), sorted(0..3));
    assert!(second.added.is_empty() && second.removed.is_empty());

    // The failure is reported as long as it lasts.
    let third = loader.load(&second.snapshot);
    assert_eq!(counts(&third), [(2, 1), (1, 1)]);

    folders.write_raw("a", 1);
    fs::remove_file(folders.path("keystores/b.json")).unwrap();
    let fourth = loader.load(&third.snapshot);
    assert_eq!(counts(&fourth), [(1, 0), (0, 0)]);
    assert_eq!(fourth.removed, sorted([0, 2]));
}

#[test]
fn a_folder_that_cannot_be_listed_keeps_its_keys() {
    let folders = Folders::new();
    folders.write_raw("a", 0);
    folders.write_keystore("b", 1, "a");
    let loader = folders.loader();
    let first = loader.load(&Snapshot::default());
    let hide = |folder: &str| fs::rename(folders.path(folder), folders.path("hidden")).unwrap();
    let show = |folder: &str| fs::rename(folders.path("hidden"), folders.path(folder)).unwrap();

    hide("keystores");
    folders.write_raw("c", 2);
    let second = loader.load(&first.snapshot);
    assert_eq!(counts(&second), [(2, 0), (1, 1)]);
    assert_eq!(keys(&second), sorted(0..3));
    assert_eq!(second.reports[1].errors[0].path, folders.path("keystores"));
    show("keystores");

    hide("config");
    let third = loader.load(&second.snapshot);
    assert_eq!(counts(&third), [(2, 1), (1, 0)]);
    assert_eq!(keys(&third), sorted(0..3));
    show("config");

    // Passwords are needed only for what is new.
    hide("passwords");
    let fourth = loader.load(&third.snapshot);
    assert_eq!(counts(&fourth), [(2, 0), (1, 1)]);
    assert_eq!(keys(&fourth), sorted(0..3));
}

#[test]
fn a_change_of_a_named_file_is_noticed() {
    let folders = Folders::new();
    let config = "type: file-keystore\nkeystoreFile: ../keystores/a.json\n\
                  keystorePasswordFile: ../passwords/a.txt\n";
    folders.write("config/a.yaml", config);
    folders.write_keystore("a", 0, "a");
    let loader = Loader::new(KeySources {
        config_files: ConfigFiles { directory: folders.path("config"), max_file_size_bytes: 1000 },
        bulk_keystores: None,
        threads: None,
    });
    let first = loader.load(&Snapshot::default());
    let second = loader.load(&first.snapshot);
    assert!(same_object(&first.snapshot, &second.snapshot, 0));
    folders.write("passwords/a.txt", "a\n");
    let third = loader.load(&second.snapshot);
    assert!(!same_object(&second.snapshot, &third.snapshot, 0));
    folders.write_keystore("a", 1, "b");
    let fourth = loader.load(&third.snapshot);
    assert_eq!((fourth.added, fourth.removed), (sorted([1]), sorted([0])));
}
