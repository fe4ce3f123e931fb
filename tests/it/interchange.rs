//! Our own interchange cases, in the form of the official ones (`cargo interchange-cases` runs
//! those): each file of `fixtures/interchange/` is one case.

use midslot_tests::{SignerOptions, interchange_case::Case, postgres::PostgresCluster};

async fn run(text: &str) {
    run_with(text, SignerOptions::empty()).await;
}

async fn run_on_postgresql(text: &str) {
    let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
    run_with(text, SignerOptions::empty().on_postgres(&database)).await;
}

async fn run_with(text: &str, options: SignerOptions) {
    let case = Case::parse(text).unwrap();
    let outcome = case.run_with(options).await.unwrap();
    assert_eq!(outcome.failures, Vec::<String>::new(), "{}", case.name);
    assert_eq!(outcome.stricter, Vec::<String>::new(), "{}", case.name);
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            run(include_str!(concat!("../fixtures/interchange/", stringify!($name), ".json"))).await;
        })*

        mod on_postgresql {
            $(#[tokio::test]
            async fn $name() {
                let text =
                    include_str!(concat!("../fixtures/interchange/", stringify!($name), ".json"));
                super::run_on_postgresql(text).await;
            })*
        }

        #[test]
        fn every_case_is_run() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/interchange");
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            files.sort();
            assert_eq!(files, [$(concat!(stringify!($name), ".json")),*]);
        }
    };
}

cases!(
    contradictory_votes_minify,
    floors_of_two_files,
    liberal_spellings,
    unknown_roots,
    values_that_fail,
    votes_around_each_other,
    wrong_chain,
);
