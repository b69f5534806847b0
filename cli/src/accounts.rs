//! For which accounts of a stack a command is meant.

use crate::stack::Stack;

/// The accounts that a command is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// The stack as it is: requests name no account.
    Stack,
    /// One account.
    One(String),
    /// Several, in this order.
    Several(Vec<String>),
}

/// An account that was named and can't be, or none where one has to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The stack reads one account alone.
    #[error("the stack {stack} reads one account alone: leave --account and --all-accounts out")]
    HasOne {
        /// The stack.
        stack: String,
    },
    /// The stack has several.
    #[error("the stack {stack} reads several accounts: give --account NAME or --all-accounts; it reads {}", listed(.accounts))]
    NoneNamed {
        /// The stack.
        stack: String,
        /// Those it has.
        accounts: Vec<String>,
    },
}

fn listed(accounts: &[String]) -> String {
    if accounts.is_empty() { "none yet (parameter Accounts)".to_owned() } else { accounts.join(", ") }
}

impl Targets {
    /// Those of `stack` that the options name. An account need not be one that schedules read: before it is, its secret
    /// can be checked.
    ///
    /// # Errors
    /// [`Invalid`].
    pub fn choose(stack: &Stack, named: &[String], all: bool) -> Result<Self, Invalid> {
        match &stack.accounts {
            None if named.is_empty() && !all => Ok(Self::Stack),
            None => Err(Invalid::HasOne { stack: stack.name.clone() }),
            Some(accounts) if all && !accounts.is_empty() => Ok(Self::Several(accounts.clone())),
            Some(_) if named.len() == 1 => Ok(Self::One(named[0].clone())),
            Some(_) if !named.is_empty() => Ok(Self::Several(named.to_vec())),
            Some(accounts) => Err(Invalid::NoneNamed { stack: stack.name.clone(), accounts: accounts.clone() }),
        }
    }

    /// Each account; `None` for a request that names none.
    pub fn accounts(&self) -> Vec<Option<&str>> {
        match self {
            Self::Stack => vec![None],
            Self::One(account) => vec![Some(account)],
            Self::Several(accounts) => accounts.iter().map(|account| Some(account.as_str())).collect(),
        }
    }

    /// Whether what is printed is a list.
    pub const fn are_several(&self) -> bool {
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
            state_machine: "arn".to_owned(),
            accounts: accounts.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_stack_of_one_account_takes_no_name() {
        assert_eq!(Targets::choose(&stack(None), &[], false), Ok(Targets::Stack));
        for (names, all) in [(named(&["a"]), false), (vec![], true)] {
            let text = Targets::choose(&stack(None), &names, all).expect_err("refused").to_string();
            assert!(text.contains("leave --account and --all-accounts out"), "{text}");
        }
    }

    #[test]
    fn a_stack_of_several_accounts_wants_names() {
        let several = stack(Some(&["acme", "globex"]));
        assert_eq!(Targets::choose(&several, &named(&["new"]), false), Ok(Targets::One("new".to_owned())));
        assert_eq!(Targets::choose(&several, &[], true), Ok(Targets::Several(named(&["acme", "globex"]))));
        let text = Targets::choose(&several, &[], false).expect_err("refused").to_string();
        assert!(text.contains("--account NAME or --all-accounts; it reads acme, globex"), "{text}");
    }
}
