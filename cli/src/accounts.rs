//! The LastPass accounts that a command is for.

use crate::{
    failure::Failure,
    stack::{Stack, StackOptions},
};

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
    #[error("the stack {0} reads only one account: omit --account and --all-accounts")]
    SingleAccount(String),
    /// The options select no account of a stack that reads several.
    #[error("the stack {stack} reads several accounts: pass --account NAME or --all-accounts; it reads {}", .accounts.join(", "))]
    Unspecified { stack: String, accounts: Vec<String> },
}

impl Failure for Error {
    fn error_type(&self) -> &str {
        "Usage.Invalid"
    }
}

impl Targets {
    /// Finds the accounts of `stack` that the options select. A named account need not be one that the schedules read, so that
    /// its secret can be checked first.
    pub fn resolve(stack: &Stack, options: &StackOptions) -> Result<Self, Error> {
        let name = || stack.name.clone();
        match (&stack.accounts, options.accounts.as_slice(), options.all_accounts) {
            (None, [], false) => Ok(Self::Stack),
            (None, ..) => Err(Error::SingleAccount(name())),
            (Some(accounts), [], false) => Err(Error::Unspecified { stack: name(), accounts: accounts.clone() }),
            (Some(accounts), [], true) => Ok(Self::Several(accounts.clone())),
            (Some(_), [account], _) => Ok(Self::One(account.clone())),
            (Some(_), accounts, _) => Ok(Self::Several(accounts.to_vec())),
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

    /// Returns whether a command prints a list of answers.
    pub const fn is_multiple(&self) -> bool {
        matches!(self, Self::Several(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn resolve(accounts: Option<&[&str]>, names: &[&str], all_accounts: bool) -> Result<Targets, Error> {
        let options = StackOptions {
            name: "prod".to_owned(),
            accounts: strings(names),
            all_accounts,
            region: None,
            profile: None,
        };
        Targets::resolve(&Stack::of_accounts(accounts), &options)
    }

    #[test]
    fn a_stack_of_one_account_refuses_account_names() {
        assert_eq!(resolve(None, &[], false), Ok(Targets::Stack));
        for (names, all_accounts) in [(&["a"][..], false), (&[], true)] {
            let text = resolve(None, names, all_accounts).expect_err("refused").to_string();
            assert!(text.contains("omit --account and --all-accounts"), "{text}");
        }
    }

    #[test]
    fn a_stack_of_several_accounts_requires_names() {
        let several = Some(&["acme", "globex"][..]);
        assert_eq!(resolve(several, &["new"], false), Ok(Targets::One("new".to_owned())));
        assert_eq!(resolve(several, &["new", "acme"], false), Ok(Targets::Several(strings(&["new", "acme"]))));
        assert_eq!(resolve(several, &[], true), Ok(Targets::Several(strings(&["acme", "globex"]))));
        let text = resolve(several, &[], false).expect_err("refused").to_string();
        assert!(text.contains("--account NAME or --all-accounts; it reads acme, globex"), "{text}");
    }
}
