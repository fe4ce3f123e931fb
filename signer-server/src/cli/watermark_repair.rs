//! `eth2 watermark-repair`: raise low watermarks, set or remove the high one.

use crate::{
    config::{Config, WatermarkRepair},
    slashing::{HighWatermark, LowWatermark, Selection},
};

use super::{CommandError, block_on, network_root, open, say};

/// Changes watermarks in the configured database, which must exist.
pub fn run(config: &Config, repair: &WatermarkRepair) -> Result<(), CommandError> {
    let network_root = network_root(config)?;
    block_on(async {
        let mut database = open(config, false).await?;
        if let Some(root) = network_root {
            database.check_network(root).await?;
        }
        match repair {
            WatermarkRepair::RaiseLow { keys, epoch, slot } => {
                let selection = keys.as_deref().map_or(Selection::All, Selection::Keys);
                let low = LowWatermark { epoch: *epoch, slot: *slot };
                let count = database.raise_floors(selection, low).await?;
                say(format_args!(
                    "The low watermark of {count} keys is at least epoch {epoch} and slot {slot}"
                ));
            }
            WatermarkRepair::SetHigh { epoch, slot } => {
                let high = HighWatermark { epoch: *epoch, slot: *slot };
                database.set_high_watermark(Some(high)).await?;
                say(format_args!("The high watermark is epoch {epoch} and slot {slot}"));
            }
            WatermarkRepair::RemoveHigh => {
                database.set_high_watermark(None).await?;
                say("There is no high watermark");
            }
        }
        database.close().await.map_err(CommandError::Close)
    })
}
