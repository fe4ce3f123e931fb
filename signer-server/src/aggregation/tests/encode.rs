//! Writes a job of the JSON form in SSZ, by the rules of the specification and not by the reader's
//! library.

use serde_json::Value;

/// A member of a container.
pub(super) enum Part {
    Fixed(Vec<u8>),
    Variable(Vec<u8>),
}

use Part::{Fixed, Variable};

/// Bytes of an offset.
const OFFSET: usize = 4;

/// Fixed members in their place, the others behind them and an offset in their place
/// (consensus-specs, `simple-serialize.md`).
pub(super) fn container(parts: &[Part]) -> Vec<u8> {
    let fixed: usize =
        parts.iter().map(|part| if let Fixed(bytes) = part { bytes.len() } else { OFFSET }).sum();
    let (mut head, mut tail) = (Vec::<u8>::new(), Vec::<u8>::new());
    for part in parts {
        match part {
            Fixed(bytes) => head.extend(bytes),
            Variable(bytes) => {
                head.extend(u32::try_from(fixed + tail.len()).unwrap().to_le_bytes());
                tail.extend(bytes);
            }
        }
    }
    head.extend(tail);
    head
}

pub(super) fn number(value: &Value) -> u64 {
    let text = value.as_str().map(|text| text.parse().expect("a number"));
    text.or_else(|| value.as_u64()).unwrap_or(0)
}

fn list(elements: impl Iterator<Item = Vec<u8>>) -> Part {
    Variable(container(&elements.map(Variable).collect::<Vec<_>>()))
}

fn u64_of(value: &Value) -> Part {
    Fixed(number(value).to_le_bytes().to_vec())
}

fn bytes(value: &Value, size: usize) -> Vec<u8> {
    let bytes = value.as_str().map(|text| const_hex::decode(text).expect("hexadecimal"));
    let bytes = bytes.unwrap_or_else(|| vec![0; size]);
    assert_eq!(bytes.len(), size, "{value}");
    bytes
}

fn fixed(value: &Value, size: usize) -> Part {
    Fixed(bytes(value, size))
}

/// A member that need not be there, as a list of at most one.
fn optional(value: &Value, size: usize) -> Part {
    Variable(if value.is_null() { Vec::new() } else { bytes(value, size) })
}

/// The number that stands for a name.
fn choice(value: &Value, names: &[&str]) -> Part {
    let name = value.as_str().unwrap_or(names[0]);
    let place = names.iter().position(|known| *known == name).expect("a known name");
    Fixed(vec![u8::try_from(place).unwrap()])
}

fn tag(value: &Value) -> Part {
    Variable(value.as_str().unwrap_or_default().as_bytes().to_vec())
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The whole body.
pub(super) fn body(job: &Value) -> Vec<u8> {
    const FORKS: [&str; 9] =
        ["phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu", "gloas", "heze"];
    let (info, options) = (&job["fork_info"], &job["options"]);
    let named: Vec<_> = std::iter::once("").chain(FORKS).collect();
    container(&[
        Fixed(job.get("version").map_or(1, number).to_le_bytes().to_vec()),
        fixed(&info["fork"]["previous_version"], 4),
        fixed(&info["fork"]["current_version"], 4),
        u64_of(&info["fork"]["epoch"]),
        fixed(&info["genesis_validators_root"], 32),
        choice(&job["fork_name"], &named),
        u64_of(&job["slot"]),
        Fixed(u32::try_from(number(&job["attempt"])).unwrap().to_le_bytes().to_vec()),
        u64_of(&job["deadline_ms"]),
        u64_of(&job["deadline_unix_ms"]),
        choice(&job["on_busy"], &["replace", "reject"]),
        choice(&options["verify"], &["aggregate", "each", "none"]),
        choice(&options["overlap"], &["disjoint", "subtract"]),
        Fixed(u16::try_from(number(&options["min_coverage"])).unwrap().to_le_bytes().to_vec()),
        choice(&options["report"], &["all", "failed", "none"]),
        tag(&job["lane"]),
        list(elements(&job["groups"]).map(group)),
    ])
}

/// One group.
pub(super) fn group(group: &Value) -> Vec<u8> {
    let data = &group["data"];
    let (kind, root, index, positions) = match group["kind"].as_str().expect("a kind") {
        "attestation" if data.is_null() => (1, "signing_root", "committee_index", "committee_len"),
        "attestation" => (0, "signing_root", "committee_index", "committee_len"),
        "sync_contribution" => (2, "beacon_block_root", "subcommittee_index", ""),
        _ => (3, "signing_root", "", "bits_len"),
    };
    let keys = elements(&group["pubkeys"]).flat_map(|key| bytes(key, 48)).collect();
    let sign = &group["sign"];
    let sign = if sign.is_null() {
        Vec::new()
    } else {
        container(&[
            fixed(&sign["aggregator_pubkey"], 48),
            u64_of(&sign["aggregator_index"]),
            fixed(&sign["selection_proof"], 96),
            Fixed(vec![u8::from(sign["resign"] == true)]),
        ])
    };
    container(&[
        Fixed(vec![kind]),
        u64_of(&data["slot"]),
        u64_of(&data["index"]),
        fixed(&data["beacon_block_root"], 32),
        u64_of(&data["source"]["epoch"]),
        fixed(&data["source"]["root"], 32),
        u64_of(&data["target"]["epoch"]),
        fixed(&data["target"]["root"], 32),
        fixed(&group[root], 32),
        u64_of(&group[index]),
        u64_of(&group[positions]),
        optional(&group["pubkey_table"], 32),
        Variable(keys),
        list(elements(&group["singles"]).map(single)),
        list(elements(&group["children"]).map(child)),
        Variable(sign),
    ])
}

fn single(single: &Value) -> Vec<u8> {
    let pos = &single["pos"];
    let positions = pos.as_array().cloned().unwrap_or_else(|| vec![pos.clone()]);
    let positions =
        positions.iter().flat_map(|pos| u16::try_from(number(pos)).unwrap().to_le_bytes());
    container(&[
        fixed(&single["signature"], 96),
        Variable(positions.collect()),
        optional(&single["pubkey"], 48),
        tag(&single["tag"]),
    ])
}

fn child(child: &Value) -> Vec<u8> {
    let bits = child["bits"].as_str().expect("bits");
    container(&[
        fixed(&child["signature"], 96),
        Variable(const_hex::decode(bits).expect("hexadecimal")),
        tag(&child["tag"]),
    ])
}
