//! The browser's database: what a page keeps. Every write is a transaction: it is there whole or not at all, whatever
//! other tabs do at the same time.

use idb::{Database, DatabaseEvent, Factory, ObjectStoreParams, Transaction, TransactionMode, TransactionResult};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};

/// The database, shared by all tabs of a site.
const NAME: &str = "llava-mole";
const VERSION: u32 = 1;

/// A table of the database.
#[derive(Clone, Copy)]
pub enum Table {
    /// The demo model's pieces, by their SHA-256.
    Pieces,
    /// The conversations' pictures, by their SHA-256.
    Pictures,
    /// What was said, record by record, in the order of the keys that the browser gives.
    Records,
    /// Single things, by name.
    Choices,
}

impl Table {
    const ALL: [Self; 4] = [Self::Pieces, Self::Pictures, Self::Records, Self::Choices];

    fn name(self) -> &'static str {
        match self {
            Self::Pieces => "pieces",
            Self::Pictures => "pictures",
            Self::Records => "records",
            Self::Choices => "choices",
        }
    }
}

/// What is to become of records and pictures.
#[derive(Default)]
pub struct Revision {
    /// These in the place of all records; none leaves them as they are.
    pub records: Option<Vec<String>>,
    /// Keys of pictures that go.
    pub forgotten: Vec<String>,
}

/// The open database.
pub struct Storage {
    database: Database,
}

/// Why something could not be kept or read, in the browser's words.
pub type Result<T> = std::result::Result<T, String>;

impl Storage {
    /// Opens the database, and makes it where there is none.
    ///
    /// # Errors
    /// Where the browser keeps nothing: in some private windows, and where storage was forbidden.
    pub async fn open() -> Result<Self> {
        let mut request = Factory::new().and_then(|factory| factory.open(NAME, Some(VERSION))).map_err(words)?;
        request.on_upgrade_needed(|event| {
            let Ok(database) = event.database() else { return };
            for table in Table::ALL {
                let mut params = ObjectStoreParams::new();
                params.auto_increment(matches!(table, Table::Records));
                // Where a table cannot be made, every use of it says so.
                let _ = database.create_object_store(table.name(), params);
            }
        });
        Ok(Self { database: request.await.map_err(words)? })
    }

    /// A text.
    pub async fn text(&self, table: Table, key: &str) -> Result<Option<String>> {
        Ok(self.get(table, key).await?.and_then(|value| value.as_string()))
    }

    /// Bytes.
    pub async fn bytes(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        let value = self.get(table, key).await?;
        Ok(value.and_then(|value| value.dyn_into::<Uint8Array>().ok()).map(|bytes| bytes.to_vec()))
    }

    async fn get(&self, table: Table, key: &str) -> Result<Option<JsValue>> {
        let transaction = self.database.transaction(&[table.name()], TransactionMode::ReadOnly).map_err(words)?;
        let store = transaction.object_store(table.name()).map_err(words)?;
        store.get(JsValue::from(key)).map_err(words)?.await.map_err(words)
    }

    /// Keeps a text under a key.
    pub async fn put_text(&self, table: Table, key: &str, text: &str) -> Result<()> {
        self.write(&[table], |stores| stores[0].put(&text.into(), Some(&key.into())).map(drop)).await
    }

    /// Keeps bytes under a key.
    pub async fn put_bytes(&self, table: Table, key: &str, bytes: &[u8]) -> Result<()> {
        let value = Uint8Array::from(bytes);
        self.write(&[table], |stores| stores[0].put(&value, Some(&key.into())).map(drop)).await
    }

    /// Forgets keys.
    pub async fn delete(&self, table: Table, keys: Vec<JsValue>) -> Result<()> {
        self.write(&[table], |stores| keys.into_iter().try_for_each(|key| stores[0].delete(key).map(drop))).await
    }

    /// All keys, in order.
    pub async fn keys(&self, table: Table) -> Result<Vec<JsValue>> {
        let transaction = self.database.transaction(&[table.name()], TransactionMode::ReadOnly).map_err(words)?;
        let store = transaction.object_store(table.name()).map_err(words)?;
        store.get_all_keys(None, None).map_err(words)?.await.map_err(words)
    }

    /// Hands all records, and the keys of all pictures, to `revise`, and does what it says, in one transaction: no other
    /// tab comes between.
    pub async fn revise(&self, revise: impl FnOnce(&[String], &[String]) -> Revision) -> Result<()> {
        let names = [Table::Records.name(), Table::Pictures.name()];
        let transaction = self.database.transaction(&names, TransactionMode::ReadWrite).map_err(words)?;
        let records = transaction.object_store(names[0]).map_err(words)?;
        let pictures = transaction.object_store(names[1]).map_err(words)?;
        let texts = |values: Vec<JsValue>| -> Vec<String> { values.iter().filter_map(JsValue::as_string).collect() };
        let lines = texts(records.get_all(None, None).map_err(words)?.await.map_err(words)?);
        let keys = texts(pictures.get_all_keys(None, None).map_err(words)?.await.map_err(words)?);
        let revision = revise(&lines, &keys);
        for key in revision.forgotten {
            pictures.delete(JsValue::from(key)).map_err(words)?;
        }
        if let Some(lines) = revision.records {
            records.clear().map_err(words)?;
            for line in lines {
                records.add(&line.into(), None).map_err(words)?;
            }
        }
        committed(transaction).await
    }

    /// Appends a text, together with the bytes it speaks of.
    pub async fn append(&self, text: &str, pictures: &[(&str, &[u8])]) -> Result<()> {
        self.write(&[Table::Records, Table::Pictures], |stores| {
            for (key, bytes) in pictures {
                stores[1].put(&Uint8Array::from(*bytes), Some(&(*key).into()))?;
            }
            stores[0].add(&text.into(), None).map(drop)
        })
        .await
    }

    /// One transaction over `tables`. Returns when it is done.
    async fn write(
        &self,
        tables: &[Table],
        write: impl FnOnce(&[idb::ObjectStore]) -> std::result::Result<(), idb::Error>,
    ) -> Result<()> {
        let names: Vec<&str> = tables.iter().map(|table| table.name()).collect();
        let transaction = self.database.transaction(&names, TransactionMode::ReadWrite).map_err(words)?;
        let stores: std::result::Result<Vec<_>, _> = names.iter().map(|name| transaction.object_store(name)).collect();
        write(&stores.map_err(words)?).map_err(words)?;
        committed(transaction).await
    }
}

async fn committed(transaction: Transaction) -> Result<()> {
    match transaction.await.map_err(words)? {
        TransactionResult::Committed => Ok(()),
        TransactionResult::Aborted => Err("the browser took the change back; its storage may be full".to_string()),
    }
}

fn words(error: idb::Error) -> String {
    error.to_string()
}
