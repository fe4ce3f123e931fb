//! Test cases for the slashing protection interchange format (EIP-3076), in the form of
//! `eth-clients/slashing-protection-interchange-tests`, run against the real signer.
//!
//! A case is a list of steps: import a file, then ask for signatures, each of which must or must
//! not be given. The files name keys and signing roots that nobody can sign with or for, so both
//! are translated: each public key becomes an interop key, and each signing root the root of a real
//! block or vote that differs only in a root that it contains. The same translation is applied to
//! the file that is imported.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use signer_server::duty::{Network, classify};

use crate::{Signer, SignerOptions, fixtures, key_files};

/// A network on which every fork up to Fulu begins at epoch 0 and whose genesis is unknown, so that
/// the case's own genesis validators root counts.
const NETWORK: &str = "devnet-gloas.yaml";
const SLOTS_PER_EPOCH: u64 = 32;
const ZERO_ROOT: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

/// One file of cases.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub name: String,
    genesis_validators_root: String,
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
struct Step {
    should_succeed: bool,
    /// The file contradicts itself or what was signed: an importer may refuse it.
    #[serde(default, alias = "allow_partial_import")]
    contains_slashable_data: bool,
    interchange: Value,
    #[serde(default)]
    blocks: Vec<Attempt>,
    #[serde(default)]
    attestations: Vec<Attempt>,
}

/// A signature that is asked for.
#[derive(Debug, Deserialize)]
struct Attempt {
    pubkey: String,
    #[serde(flatten)]
    position: Position,
    #[serde(default)]
    signing_root: Option<String>,
    /// Whether a signer that keeps only the maxima of what it imported must sign.
    should_succeed: bool,
    /// Whether a signer that keeps all of it must sign; the same when absent.
    should_succeed_complete: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Position {
    Block {
        #[serde(deserialize_with = "number")]
        slot: u64,
    },
    Attestation {
        #[serde(deserialize_with = "number")]
        source_epoch: u64,
        #[serde(deserialize_with = "number")]
        target_epoch: u64,
    },
}

fn number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let parsed = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    parsed.ok_or_else(|| serde::de::Error::custom(format!("{value} is no unsigned integer")))
}

/// What a case came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What differs from what the case demands.
    pub failures: Vec<String>,
    /// What was refused although a signer that keeps everything may sign it: allowed, and stricter.
    pub stricter: Vec<String>,
    /// Signatures that were asked for.
    pub attempts: usize,
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// When the text is not in the format.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("not an interchange test case")
    }

    /// Runs the case on a signer of its own.
    ///
    /// # Errors
    /// When it can't be run at all.
    pub async fn run(&self) -> Result<Outcome> {
        self.run_with(SignerOptions::empty()).await
    }

    /// The same with options that say where the database is. It must be empty.
    ///
    /// # Errors
    /// When it can't be run at all.
    pub async fn run_with(&self, options: SignerOptions) -> Result<Outcome> {
        let mut options = options.eth2(format!("--network={}", fixtures::network_option(NETWORK)));
        let mut translation = Translation::new(&self.genesis_validators_root)?;
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| translation.interchange(&step.interchange))
            .collect::<Result<_>>()?;
        for attempt in
            self.steps.iter().flat_map(|step| step.blocks.iter().chain(&step.attestations))
        {
            translation.key_index(&attempt.pubkey);
        }
        let spare_key = translation.keys.len() as u64;
        for index in 0..=spare_key {
            key_files::write_raw_key(&options.key_folder(), index);
        }

        let mut outcome = Outcome::default();
        // The first signature ties the database to the case's chain.
        let signer = options.start().await?;
        let first = translation.body(&Position::Block { slot: 1 }, &root_text(1));
        let answer = signer.client.sign(&key_files::public_key(spare_key), &first).await?;
        ensure!(answer.status == StatusCode::OK, "the first signature: {}", answer.text());
        options = stop(signer).await?;
        for (number, (step, interchange)) in self.steps.iter().zip(&steps).enumerate() {
            let place = format!("step {}", number + 1);
            let file = options.folder.path().join("interchange.json");
            std::fs::write(&file, interchange.to_string())?;
            let from = format!("--from={}", file.display());
            let ended = options.run_command(&["import", &from]).await?;
            match (ended.code, step.should_succeed) {
                (Some(0), true) | (Some(1), false) => {}
                (Some(1), true) if step.contains_slashable_data => {}
                (code, _) => outcome
                    .failures
                    .push(format!("{place}: the import ended with {code:?}:\n{}", ended.output)),
            }
            let signer = options.start().await?;
            for attempt in step.blocks.iter().chain(&step.attestations) {
                translation.attempt(&signer, attempt, &place, &mut outcome).await?;
            }
            options = stop(signer).await?;
        }
        Ok(outcome)
    }
}

async fn stop(signer: Signer) -> Result<SignerOptions> {
    let (code, options) = signer.stop().await?;
    ensure!(code == Some(0), "the signer ended with {code:?}:\n{}", options.log());
    Ok(options)
}

/// From the keys and roots of a case to real ones.
struct Translation {
    network: Network,
    genesis_validators_root: String,
    /// Lower-case digits of the case's keys, with the interop key that stands for each.
    keys: BTreeMap<String, u64>,
    /// How many roots were made up so far.
    unknown_roots: u64,
}

impl Translation {
    fn new(genesis_validators_root: &str) -> Result<Self> {
        Ok(Self {
            network: Network::by_name_or_file(&fixtures::network_option(NETWORK))?,
            genesis_validators_root: genesis_validators_root.to_owned(),
            keys: BTreeMap::new(),
            unknown_roots: 0,
        })
    }

    fn key_index(&mut self, public_key: &str) -> u64 {
        let digits = without_prefix(public_key).to_ascii_lowercase();
        let next = self.keys.len() as u64;
        *self.keys.entry(digits).or_insert(next)
    }

    /// The request of which a case knows only position and root.
    fn body(&self, position: &Position, root: &str) -> Value {
        let fork_info = json!({
            "fork": {
                "previous_version": "0x60000038",
                "current_version": "0x70000038",
                "epoch": "0",
            },
            "genesis_validators_root": self.genesis_validators_root,
        });
        match position {
            Position::Block { slot } => json!({
                "type": "BLOCK_V2",
                "fork_info": fork_info,
                "beacon_block": {
                    "version": "FULU",
                    "block_header": {
                        "slot": slot.to_string(),
                        "proposer_index": "0",
                        "parent_root": ZERO_ROOT,
                        "state_root": ZERO_ROOT,
                        "body_root": root,
                    },
                },
            }),
            Position::Attestation { source_epoch, target_epoch } => json!({
                "type": "ATTESTATION",
                "fork_info": fork_info,
                "attestation": {
                    "slot": target_epoch.saturating_mul(SLOTS_PER_EPOCH).to_string(),
                    "index": "0",
                    "beacon_block_root": root,
                    "source": { "epoch": source_epoch.to_string(), "root": ZERO_ROOT },
                    "target": { "epoch": target_epoch.to_string(), "root": ZERO_ROOT },
                },
            }),
        }
    }

    /// The root of the block or vote that stands for a case's root.
    fn signing_root(&self, position: &Position, root: &str) -> Result<String> {
        let body = self.body(position, root).to_string();
        let duty = classify(body.as_bytes(), &self.network)
            .map_err(|failure| anyhow::anyhow!("{body}: {}", failure.error))?;
        Ok(duty.signing_root.to_string())
    }

    /// The file to import, with real keys and roots. What the signer should find fault with stays.
    fn interchange(&mut self, original: &Value) -> Result<Value> {
        let mut translated = original.clone();
        let Some(objects) = translated.get_mut("data").and_then(Value::as_array_mut) else {
            return Ok(translated);
        };
        for object in objects {
            if let Some(public_key) = object.get("pubkey").and_then(Value::as_str)
                && without_prefix(public_key).len() == 96
            {
                let real = key_files::public_key(self.key_index(public_key));
                object["pubkey"] = in_style_of(public_key, &real).into();
            }
            for list in ["signed_blocks", "signed_attestations"] {
                let entries = object.get_mut(list).and_then(Value::as_array_mut);
                for entry in entries.into_iter().flatten() {
                    self.translate_entry(entry)?;
                }
            }
        }
        Ok(translated)
    }

    fn translate_entry(&self, entry: &mut Value) -> Result<()> {
        let Some(root) = entry.get("signing_root").and_then(Value::as_str).map(str::to_owned)
        else {
            return Ok(());
        };
        // What is no root, or no position, is for the signer to judge.
        let Ok(position) = serde_json::from_value::<Position>(entry.clone()) else { return Ok(()) };
        if is_known(&root) {
            let normal = format!("0x{}", without_prefix(&root).to_ascii_lowercase());
            let real = self.signing_root(&position, &normal)?;
            entry["signing_root"] = in_style_of(&root, &real).into();
        }
        Ok(())
    }

    async fn attempt(
        &mut self,
        signer: &Signer,
        attempt: &Attempt,
        place: &str,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let known = attempt.signing_root.as_deref().filter(|root| is_known(root));
        let root = if let Some(root) = known {
            format!("0x{}", without_prefix(root).to_ascii_lowercase())
        } else {
            // Two messages without a root are never the same.
            self.unknown_roots += 1;
            root_text(u64::MAX - self.unknown_roots)
        };
        let key = key_files::public_key(self.key_index(&attempt.pubkey));
        let answer = signer.client.sign(&key, &self.body(&attempt.position, &root)).await?;
        let is_given = match answer.status {
            StatusCode::OK => true,
            StatusCode::PRECONDITION_FAILED => false,
            other => bail!("{place}: {:?}: {other}: {}", attempt.position, answer.text()),
        };
        outcome.attempts += 1;
        let may_sign = attempt.should_succeed_complete.unwrap_or(attempt.should_succeed);
        let told = format!("{place}: {:?}, root {:?}", attempt.position, attempt.signing_root);
        match (is_given, attempt.should_succeed) {
            (true, false) if !may_sign => outcome.failures.push(format!("{told}: was SIGNED")),
            (false, true) => {
                outcome.failures.push(format!("{told}: was refused: {}", answer.text()));
            }
            (false, false) if may_sign => outcome.stricter.push(told),
            _ => {}
        }
        Ok(())
    }
}

fn without_prefix(text: &str) -> &str {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text)
}

/// Whether a text is a root other than zero.
fn is_known(root: &str) -> bool {
    let digits = without_prefix(root);
    digits.len() == 64
        && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        && digits.bytes().any(|byte| byte != b'0')
}

/// `real` with or without a prefix and in the case of the digits of `original`.
fn in_style_of(original: &str, real: &str) -> String {
    let digits = without_prefix(real);
    let prefix = &original[..original.len() - without_prefix(original).len()];
    let is_upper = original.bytes().any(|byte| (b'A'..=b'F').contains(&byte));
    let digits = if is_upper { digits.to_ascii_uppercase() } else { digits.to_owned() };
    format!("{prefix}{digits}")
}

/// A root that no case contains.
fn root_text(number: u64) -> String {
    format!("0x{}{number:016x}", "e7".repeat(24))
}
