//! What is to become of a DDL statement that the target refuses: skip it, run others in its place, or
//! run others before it.
//!
//! An order is an object of its source, `<task>/<source>/ddl/<file>-<offset>.json`, named by where the
//! statement ends in the source's binary log. Apply reads it when it comes to that place, or when the
//! statement there has failed, so an order may be given before or after.
//!
//! It is made by create-if-absent: of two people one is told what the other has ordered. It is not
//! changed, only taken back ([`revert`]), and that has an effect until apply has passed the place.
//! **Killed at any point:** an order is there or it is not. Apply must note at the target that a
//! statement is done before it goes on, with an order as without one; a rerun then does not come to the
//! place again, and the order that still lies there means nothing any more.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::document::VERSION;
use crate::layout::SourceKeys;
use crate::{Create, Error, Result, Staging};

/// What to do at a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Leave it out at the target.
    Skip,
    /// Run the order's statements in its place.
    Replace,
    /// Run the order's statements, then it.
    Inject,
}

impl Action {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Replace => "replace",
            Self::Inject => "inject",
        }
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Version of this document.
    pub version: u32,
    /// Log file of the source.
    pub file: String,
    /// Offset in it of the end of the statement's event, as errors and `query-status` show it.
    pub pos: u64,
    /// What to do.
    pub action: Action,
    /// The statements for [`Action::Replace`] and [`Action::Inject`], one each, in order, as they are
    /// to run at the target; empty for [`Action::Skip`].
    #[serde(default)]
    pub statements: Vec<String>,
    /// Who ordered it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl Order {
    /// An order given now.
    #[must_use]
    pub fn new(file: &str, pos: u64, action: Action, statements: Vec<String>, by: &str) -> Self {
        Self {
            version: VERSION,
            file: file.to_owned(),
            pos,
            action,
            statements,
            by: by.to_owned(),
            at: Utc::now(),
        }
    }
}

/// Gives an order; [`Create::Exists`] tells the one that was given before.
///
/// # Errors
/// When the store fails.
pub async fn give(staging: &Staging, keys: &SourceKeys, order: &Order) -> Result<Create<Order>> {
    let key = keys.ddl_order(&order.file, order.pos);
    staging.create_json(&key, order).await
}

/// The order for the statement at this place; `None` when there is none.
///
/// # Errors
/// When the store fails or the order is damaged: it must not be taken for none.
pub async fn read(
    staging: &Staging,
    keys: &SourceKeys,
    file: &str,
    pos: u64,
) -> Result<Option<Order>> {
    staging.get_json(&keys.ddl_order(file, pos)).await
}

/// All orders of a source, by their places.
///
/// # Errors
/// When the store fails or an order is damaged.
pub async fn list(staging: &Staging, keys: &SourceKeys) -> Result<Vec<Order>> {
    let folder = keys.ddl_orders_dir();
    let objects: Vec<_> = staging.list(&folder).try_collect().await?;
    let mut orders = Vec::with_capacity(objects.len());
    for object in objects {
        if let Some(order) = staging.get_json::<Order>(&object.location).await? {
            orders.push(order);
        }
    }
    orders.sort_by(|a, b| {
        (file_number(&a.file), &a.file, a.pos).cmp(&(file_number(&b.file), &b.file, b.pos))
    });
    Ok(orders)
}

/// `binlog.1000000` lies behind `binlog.999999`.
fn file_number(file: &str) -> u64 {
    file.rsplit_once('.')
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

/// Takes an order back, and tells which it was.
///
/// # Errors
/// [`Error::NotFound`] when there is none; when the store fails.
pub async fn revert(staging: &Staging, keys: &SourceKeys, file: &str, pos: u64) -> Result<Order> {
    let key = keys.ddl_order(file, pos);
    let Some(order) = staging.get_json::<Order>(&key).await? else {
        return Err(Error::NotFound {
            url: staging.url().to_owned(),
            key: key.to_string(),
            what: "no order was given for this place; `tideway binlog list` shows those that were"
                .to_owned(),
        });
    };
    staging.delete(&key).await?;
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::TaskKeys;

    #[tokio::test]
    async fn an_order_is_given_once_listed_and_taken_back() {
        let staging = Staging::open("memory:///ddl-orders").await.unwrap();
        let keys = TaskKeys::new("t").source("s");
        let skip = Order::new("mysql-bin.000009", 154, Action::Skip, Vec::new(), "me");
        assert_eq!(give(&staging, &keys, &skip).await.unwrap(), Create::Won);
        let statements = vec!["ALTER TABLE t ADD c INT".to_owned()];
        let other = Order::new("mysql-bin.000009", 154, Action::Replace, statements, "you");
        assert_eq!(
            give(&staging, &keys, &other).await.unwrap(),
            Create::Exists(skip.clone())
        );
        for (file, pos) in [("mysql-bin.000010", 4), ("mysql-bin.000009", 20)] {
            let order = Order::new(file, pos, Action::Skip, Vec::new(), "me");
            give(&staging, &keys, &order).await.unwrap();
        }
        let places: Vec<(String, u64)> = list(&staging, &keys)
            .await
            .unwrap()
            .into_iter()
            .map(|order| (order.file, order.pos))
            .collect();
        assert_eq!(
            places,
            [
                ("mysql-bin.000009".to_owned(), 20),
                ("mysql-bin.000009".to_owned(), 154),
                ("mysql-bin.000010".to_owned(), 4)
            ]
        );
        assert_eq!(
            read(&staging, &keys, "mysql-bin.000009", 154)
                .await
                .unwrap(),
            Some(skip)
        );
        revert(&staging, &keys, "mysql-bin.000009", 154)
            .await
            .unwrap();
        assert_eq!(
            read(&staging, &keys, "mysql-bin.000009", 154)
                .await
                .unwrap(),
            None
        );
        let error = revert(&staging, &keys, "mysql-bin.000009", 154)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_damaged_order_is_not_taken_for_none() {
        let staging = Staging::open("memory:///ddl-orders-damaged").await.unwrap();
        let keys = TaskKeys::new("t").source("s");
        staging
            .put_bytes(&keys.ddl_order("b.000001", 4), "{\"version\": 1}")
            .await
            .unwrap();
        let error = read(&staging, &keys, "b.000001", 4).await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}
