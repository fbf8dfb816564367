//! A table of the plan with its documents' parts read: what the chunk reader works from.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use tideway_mysql::key::{KeyValue, range_predicate};
use tideway_mysql::position::BinlogPosition;
use tideway_mysql::schema::{self, ColumnDef, TableDef, TableName};
use tideway_mysql::sql;
use tideway_mysql::types::column_type::ColumnType;
use tideway_mysql::types::mapping::select_list;
use tideway_staging::document::TablePlan;

use crate::cut;
use crate::definitions::is_absent;
use crate::error::{Error, Result};
use crate::source::{Source, from_json};

/// A table of the plan, ready to be read.
pub struct Table {
    /// The plan.
    pub plan: TablePlan,
    /// Its name.
    pub name: TableName,
    /// Its definition.
    pub def: TableDef,
    /// S_t.
    pub position: Option<BinlogPosition>,
    /// Bounds, typed.
    bounds: Vec<Vec<KeyValue>>,
    /// DATETIME and TIMESTAMP columns that a chunk of this table needed as text. Its later chunks
    /// begin with them as text: dates of that kind seldom come alone.
    text_columns: Mutex<BTreeSet<String>>,
}

impl Table {
    /// Reads the opaque parts of `plan`.
    ///
    /// # Errors
    /// [`Error::Document`].
    pub fn new(source: &Source, plan: &TablePlan) -> Result<Self> {
        let key = source.keys.plan(0);
        let mut bounds = Vec::with_capacity(plan.bounds.len());
        for bound in &plan.bounds {
            let bound: Result<Vec<KeyValue>> =
                bound.iter().map(|value| from_json(value, &key)).collect();
            bounds.push(bound?);
        }
        Ok(Self {
            name: TableName::new(&plan.db, &plan.table),
            def: from_json(&plan.definition, &key)?,
            position: from_json(&plan.position, &key)?,
            bounds,
            plan: plan.clone(),
            text_columns: Mutex::default(),
        })
    }

    /// The columns that are dumped: all that are stored, invisible ones too.
    #[must_use]
    pub fn columns(&self) -> Vec<&ColumnDef> {
        self.def.stored_columns().collect()
    }

    /// ENUM and SET columns: few values, so a dictionary pays.
    #[must_use]
    pub fn dictionary_columns(&self) -> Vec<String> {
        self.def
            .stored_columns()
            .filter(|col| matches!(col.ty, ColumnType::Enum { .. } | ColumnType::Set { .. }))
            .map(|col| col.name.clone())
            .collect()
    }

    /// Columns that are text from the beginning.
    #[must_use]
    pub fn text_columns(&self) -> BTreeSet<String> {
        // A set of names: no panic can leave it half written.
        let columns = self.text_columns.lock();
        columns.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers that `column` must be text.
    pub fn needs_text(&self, column: &str) {
        let columns = self.text_columns.lock();
        let mut columns = columns.unwrap_or_else(PoisonError::into_inner);
        columns.insert(column.to_owned());
    }

    /// Whether chunks of this table are told apart by no key, so that cdc must know the position at
    /// which the one chunk was read.
    #[must_use]
    pub fn is_keyless(&self) -> bool {
        self.def.row_key().is_none()
    }

    /// Whether the table's engine has no transactions.
    #[must_use]
    pub fn lacks_transactions(&self) -> bool {
        lacks_transactions(&self.def)
    }

    /// The statement that reads chunk `number`.
    #[must_use]
    pub fn query(&self, number: u32) -> String {
        let columns = self.columns();
        let key: Vec<&ColumnDef> = self
            .plan
            .key
            .iter()
            .filter_map(|name| self.def.column(name))
            .collect();
        let index = (number - self.plan.first_chunk) as usize;
        let lower = index.checked_sub(1).and_then(|i| self.bounds.get(i));
        let upper = self.bounds.get(index);
        let range = range_predicate(&key, lower.map(Vec::as_slice), upper.map(Vec::as_slice));
        let conditions: Vec<String> = range
            .iter()
            .chain(&self.plan.where_clause)
            .map(|condition| format!("({condition})"))
            .collect();
        let mut query = format!(
            "SELECT {} FROM {}",
            select_list(&columns),
            sql::qualified(&self.name)
        );
        if !conditions.is_empty() {
            query.push_str(" WHERE ");
            query.push_str(&conditions.join(" AND "));
        }
        // In the order of the clustered index, which the scan has anyway: neighbours compress well
        // and load fast. Along another index it would cost a sort or a jump for each row.
        if cut::index_name(&self.def, &key).as_deref() == Some("PRIMARY") && !key.is_empty() {
            let names: Vec<String> = key.iter().map(|col| sql::ident(&col.name)).collect();
            query.push_str(" ORDER BY ");
            query.push_str(&names.join(","));
        }
        query
    }

    /// Takes the table's metadata lock within the open transaction and checks that its definition
    /// is still the plan's.
    ///
    /// # Errors
    /// [`Error::DefinitionChanged`], or what the server says.
    pub async fn check_definition(&self, source: &Source, conn: &mut Conn) -> Result<()> {
        let name = sql::qualified(&self.name);
        match conn
            .query_drop(format!("SELECT 1 FROM {name} LIMIT 0"))
            .await
        {
            Ok(()) => {}
            Err(error) if is_absent(&error) => {
                return Err(Error::DefinitionChanged(self.name.clone()));
            }
            Err(error) => return Err(source.doing(&format!("reading {name}"))(error)),
        }
        let Some(create_sql) = schema::show_create_table(conn, &self.name).await? else {
            return Err(Error::DefinitionChanged(self.name.clone()));
        };
        let now = TableDef {
            create_sql,
            ..self.def.clone()
        };
        if now.hash() == self.plan.definition_hash {
            Ok(())
        } else {
            Err(Error::DefinitionChanged(self.name.clone()))
        }
    }
}

/// Whether the table's engine has no transactions, so that no snapshot holds its rows.
#[must_use]
pub fn lacks_transactions(def: &TableDef) -> bool {
    let engine = def.engine.as_deref().unwrap_or("InnoDB");
    !["InnoDB", "XtraDB", "ROCKSDB", "TokuDB", "ndbcluster"]
        .iter()
        .any(|name| engine.eq_ignore_ascii_case(name))
}
