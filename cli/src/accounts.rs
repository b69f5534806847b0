//! The LastPass accounts that a command is for.

use crate::{exit::Exit, failure::Failure, stack::Stack};

/// The accounts that the options select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The options select none.
    Unspecified,
    /// `--account`, once or several times.
    Named(Vec<String>),
    /// `--all-accounts`.
    All,
}

/// The accounts that a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// The stack as a whole: requests name no account.
    Stack,
    /// One account.
    One(String),
    /// Several accounts, in this order.
    Several(Vec<String>),
}

/// A selection that does not suit the stack.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The options select accounts of a stack that reads one.
    #[error("the stack {stack} reads only one account: omit --account and --all-accounts")]
    SingleAccount {
        /// The stack.
        stack: String,
    },
    /// The options select no account of a stack that reads several.
    #[error("the stack {stack} reads several accounts: pass --account NAME or --all-accounts; it reads {}", list(.accounts))]
    Unspecified {
        /// The stack.
        stack: String,
        /// The accounts of the stack.
        accounts: Vec<String>,
    },
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        "Usage.Invalid"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

fn list(accounts: &[String]) -> String {
    if accounts.is_empty() { "none yet (parameter Accounts)".to_owned() } else { accounts.join(", ") }
}

impl Targets {
    /// Resolves a selection on `stack`. A named account need not be one that the schedules read, so that its secret can be
    /// checked first.
    ///
    /// # Errors
    /// [`Error`].
    pub fn resolve(stack: &Stack, selection: &Selection) -> Result<Self, Error> {
        match (&stack.accounts, selection) {
            (None, Selection::Unspecified) => Ok(Self::Stack),
            (None, Selection::Named(_) | Selection::All) => Err(Error::SingleAccount { stack: stack.name.clone() }),
            (Some(_), Selection::Named(names)) => match names.as_slice() {
                [name] => Ok(Self::One(name.clone())),
                names => Ok(Self::Several(names.to_vec())),
            },
            (Some(accounts), Selection::All) if !accounts.is_empty() => Ok(Self::Several(accounts.clone())),
            (Some(accounts), Selection::All | Selection::Unspecified) => {
                Err(Error::Unspecified { stack: stack.name.clone(), accounts: accounts.clone() })
            }
        }
    }

    /// Lists the accounts; `None` is a request without an account.
    pub fn accounts(&self) -> Vec<Option<&str>> {
        match self {
            Self::Stack => vec![None],
            Self::One(account) => vec![Some(account)],
            Self::Several(accounts) => accounts.iter().map(|account| Some(account.as_str())).collect(),
        }
    }

    /// Whether a command prints a list of answers.
    pub const fn is_multiple(&self) -> bool {
        matches!(self, Self::Several(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(accounts: Option<&[&str]>) -> Stack {
        Stack {
            name: "prod".to_owned(),
            function_name: "prod".to_owned(),
            state_machine_arn: "arn".to_owned(),
            accounts: accounts.map(strings),
            kms_key_arn: None,
        }
    }

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn named(names: &[&str]) -> Selection {
        Selection::Named(strings(names))
    }

    #[test]
    fn a_stack_of_one_account_refuses_account_names() {
        assert_eq!(Targets::resolve(&stack(None), &Selection::Unspecified), Ok(Targets::Stack));
        for selection in [named(&["a"]), Selection::All] {
            let text = Targets::resolve(&stack(None), &selection).expect_err("refused").to_string();
            assert!(text.contains("omit --account and --all-accounts"), "{text}");
        }
    }

    #[test]
    fn a_stack_of_several_accounts_requires_names() {
        let several = stack(Some(&["acme", "globex"]));
        assert_eq!(Targets::resolve(&several, &named(&["new"])), Ok(Targets::One("new".to_owned())));
        assert_eq!(
            Targets::resolve(&several, &named(&["new", "acme"])),
            Ok(Targets::Several(strings(&["new", "acme"])))
        );
        assert_eq!(Targets::resolve(&several, &Selection::All), Ok(Targets::Several(strings(&["acme", "globex"]))));
        let text = Targets::resolve(&several, &Selection::Unspecified).expect_err("refused").to_string();
        assert!(text.contains("--account NAME or --all-accounts; it reads acme, globex"), "{text}");
        let text = Targets::resolve(&stack(Some(&[])), &Selection::All).expect_err("refused").to_string();
        assert!(text.contains("it reads none yet (parameter Accounts)"), "{text}");
    }
}
