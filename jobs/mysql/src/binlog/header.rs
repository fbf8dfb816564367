//! The 19 bytes that each event begins with.

/// Bytes of a header, in binlogs of version 4.
pub const HEADER: usize = 19;

/// What an event is. Numbers that nobody gave a name are carried as they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal $text:literal,)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Its name, as `SHOW BINLOG EVENTS` prints it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $text,)*
                    _ => "Unknown",
                }
            }
        }
    };
}

kinds! {
    /// A statement: DDL, BEGIN, COMMIT of engines without transactions, SAVEPOINT, XA.
    QUERY = 2 "Query",
    /// The server stopped in order; the file ends.
    STOP = 3 "Stop",
    /// The file ends, another goes on.
    ROTATE = 4 "Rotate",
    /// `LAST_INSERT_ID` or `INSERT_ID` of the statement that follows.
    INTVAR = 5 "Intvar",
    /// Seeds of `RAND()` of the statement that follows.
    RAND = 13 "RAND",
    /// A user's variable of the statement that follows.
    USER_VAR = 14 "User var",
    /// What the file's other events look like.
    FORMAT_DESCRIPTION = 15 "Format_desc",
    /// A transaction of an engine with transactions commits.
    XID = 16 "Xid",
    /// The table that rows belong to.
    TABLE_MAP = 19 "Table_map",
    /// Rows inserted, before MySQL 5.6, and MariaDB.
    WRITE_ROWS_V1 = 23 "Write_rows_v1",
    /// Rows updated, the same.
    UPDATE_ROWS_V1 = 24 "Update_rows_v1",
    /// Rows deleted, the same.
    DELETE_ROWS_V1 = 25 "Delete_rows_v1",
    /// Something happened that replicas cannot follow.
    INCIDENT = 26 "Incident",
    /// Nothing happened, the server lives. Never in a file.
    HEARTBEAT = 27 "Heartbeat",
    /// May be passed over by who does not know it.
    IGNORABLE = 28 "Ignorable",
    /// The text of the statement that rows come from.
    ROWS_QUERY = 29 "Rows_query",
    /// Rows inserted.
    WRITE_ROWS = 30 "Write_rows",
    /// Rows updated.
    UPDATE_ROWS = 31 "Update_rows",
    /// Rows deleted.
    DELETE_ROWS = 32 "Delete_rows",
    /// A transaction begins, with a GTID.
    GTID = 33 "Gtid",
    /// A transaction begins, without.
    ANONYMOUS_GTID = 34 "Anonymous_Gtid",
    /// GTIDs of all files before.
    PREVIOUS_GTIDS = 35 "Previous_gtids",
    /// Of group replication.
    TRANSACTION_CONTEXT = 36 "Transaction_context",
    /// Of group replication.
    VIEW_CHANGE = 37 "View_change",
    /// `XA PREPARE`.
    XA_PREPARE = 38 "XA_prepare",
    /// Rows updated, with JSON documents as differences.
    PARTIAL_UPDATE_ROWS = 39 "Update_rows_partial",
    /// A transaction, compressed.
    TRANSACTION_PAYLOAD = 40 "Transaction_payload",
    /// Nothing happened, in a newer form. Never in a file.
    HEARTBEAT_V2 = 41 "Heartbeat",
    /// A transaction begins, with a GTID that may have a tag.
    GTID_TAGGED = 42 "Gtid_tagged",
    /// MariaDB: the text of the statement that rows come from.
    ANNOTATE_ROWS = 160 "Annotate_rows",
    /// MariaDB: the oldest file that a recovery needs.
    BINLOG_CHECKPOINT = 161 "Binlog_checkpoint",
    /// MariaDB: a transaction begins.
    MARIADB_GTID = 162 "Gtid",
    /// MariaDB: GTIDs of all files before.
    MARIADB_GTID_LIST = 163 "Gtid_list",
    /// MariaDB: the file's further events are encrypted.
    START_ENCRYPTION = 164 "Start_encryption",
    /// MariaDB: a statement, compressed.
    QUERY_COMPRESSED = 165 "Query_compressed",
    /// MariaDB: rows inserted, compressed.
    WRITE_ROWS_COMPRESSED = 166 "Write_rows_compressed_v1",
    /// MariaDB: rows updated, compressed.
    UPDATE_ROWS_COMPRESSED = 167 "Update_rows_compressed_v1",
    /// MariaDB: rows deleted, compressed.
    DELETE_ROWS_COMPRESSED = 168 "Delete_rows_compressed_v1",
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl Kind {
    /// Whether a transaction, or one DDL, begins with an event of this kind.
    #[must_use]
    pub fn begins_transaction(self) -> bool {
        matches!(
            self,
            Self::GTID | Self::ANONYMOUS_GTID | Self::GTID_TAGGED | Self::MARIADB_GTID
        )
    }
}

/// The file is open: its server runs, or did not stop in order. Left out of the checksum.
pub const FLAG_IN_USE: u16 = 0x1;
/// Made for one reader, not in any file.
pub const FLAG_ARTIFICIAL: u16 = 0x20;
/// May be passed over by who does not know the kind.
pub const FLAG_IGNORABLE: u16 = 0x80;

/// A header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// When the statement began, seconds since 1970; 0 where that means nothing.
    pub timestamp: u32,
    /// What it is.
    pub kind: Kind,
    /// `server_id` of the server where it happened.
    pub server_id: u32,
    /// Bytes in all, header and checksum too.
    pub size: u32,
    /// Where the next event begins in the file; 0 in a compressed transaction. It has 32 bits only.
    pub next: u32,
    /// `FLAG_…`.
    pub flags: u16,
}

impl Header {
    /// Reads the first 19 bytes of an event.
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER]) -> Self {
        let [
            t0,
            t1,
            t2,
            t3,
            kind,
            s0,
            s1,
            s2,
            s3,
            l0,
            l1,
            l2,
            l3,
            n0,
            n1,
            n2,
            n3,
            f0,
            f1,
        ] = *bytes;
        Self {
            timestamp: u32::from_le_bytes([t0, t1, t2, t3]),
            kind: Kind(kind),
            server_id: u32::from_le_bytes([s0, s1, s2, s3]),
            size: u32::from_le_bytes([l0, l1, l2, l3]),
            next: u32::from_le_bytes([n0, n1, n2, n3]),
            flags: u16::from_le_bytes([f0, f1]),
        }
    }
}
