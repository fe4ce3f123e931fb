//! What is said about options that are accepted without effect, and about those that ask for a
//! function which does not exist.

use super::{
    error::{Origin, ParameterError},
    option::{Kind, Scope, Treatment},
    options,
    values::Values,
};

/// One warning for each given option that has no effect.
pub(super) fn warnings(scope: Scope, values: &Values) -> Vec<String> {
    let given = scope.with_parents().flat_map(options::of);
    given
        .filter_map(|spec| match spec.treatment {
            Treatment::NoEffect(advice) => {
                let (option, origin) = (spec.dashed_name(), values.origin(spec)?);
                Some(format!("{option} ({origin}) has no effect: {advice}"))
            }
            Treatment::Used | Treatment::Companion | Treatment::Unavailable(_) => None,
        })
        .collect()
}

/// Refuses options that ask for a function which does not exist, rather than to run without it.
pub(super) fn refuse_unavailable(scope: Scope, values: &Values) -> Result<(), ParameterError> {
    for spec in scope.with_parents().flat_map(options::of) {
        let Treatment::Unavailable(function) = spec.treatment else { continue };
        let is_asked_for = match spec.kind {
            Kind::Flag | Kind::Boolean => values.boolean(spec)?,
            _ => values.origin(spec).is_some(),
        };
        if is_asked_for {
            return Err(ParameterError::Unavailable {
                option: spec.dashed_name(),
                origin: values.origin(spec).cloned().unwrap_or(Origin::Default),
                function,
            });
        }
    }
    Ok(())
}
