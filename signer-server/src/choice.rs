//! Enumerations whose members are option values.

/// Declares an enumeration together with the names of its members, which are matched in any case.
macro_rules! choices {
    ($(#[$doc:meta])* $type:ident { $($(#[$member_doc:meta])* $member:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$member_doc])* $member,)*
        }

        impl $type {
            /// The names, in the order of the members.
            pub const NAMES: &[&'static str] = &[$($name,)*];

            /// The name as written in options.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$member => $name,)*
                }
            }
        }

        impl $crate::choice::Choice for $type {
            fn from_name(name: &str) -> Option<Self> {
                $(if name.eq_ignore_ascii_case($name) {
                    return Some(Self::$member);
                })*
                None
            }
        }
    };
}
pub(crate) use choices;

/// A value that is one of some names.
pub(crate) trait Choice: Sized {
    /// The member with this name, in any case.
    fn from_name(name: &str) -> Option<Self>;
}
