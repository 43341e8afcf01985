//! A bounded cache that never serves what an invalidation has already condemned.
//!
//! The trap of every read-through cache: a reader loads a row, a writer changes and invalidates it, and then the reader
//! stores the old one. Here a load notes the generation it began in, and its value is kept only if nothing was invalidated
//! since. Invalidate after the commit and before the answer (`Tx::after_commit`), and the next request sees the change.

use std::future::Future;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

/// A cache of at most `capacity` entries, each kept for at most `ttl`.
pub struct Cache<K, V> {
    entries: moka::sync::Cache<K, V>,
    generation: RwLock<u64>,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty cache.
    pub fn new(capacity: u64, ttl: Duration) -> Self {
        let entries = moka::sync::Cache::builder().max_capacity(capacity).time_to_live(ttl);
        Self { entries: entries.support_invalidation_closures().build(), generation: RwLock::new(0) }
    }

    /// The cached value, or the loaded one; `None` is never cached.
    ///
    /// # Errors
    /// The loader's own.
    pub async fn get_or_load<E>(
        &self,
        key: &K,
        load: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Option<V>, E> {
        if let Some(value) = self.entries.get(key) {
            return Ok(Some(value));
        }
        let began = *self.generation.read().unwrap_or_else(PoisonError::into_inner);
        let loaded = load.await?;
        if let Some(value) = &loaded {
            let generation = self.generation.read().unwrap_or_else(PoisonError::into_inner);
            if *generation == began {
                self.entries.insert(key.clone(), value.clone());
            }
        }
        Ok(loaded)
    }

    /// Forgets one entry.
    pub fn invalidate(&self, key: &K) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        self.entries.invalidate(key);
    }

    /// Forgets every entry that `condemned` names.
    pub fn invalidate_if(&self, condemned: impl Fn(&V) -> bool + Send + Sync + 'static) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        // The predicate is checked on every read from now on, so the entries are gone at once. It can only be refused
        // when closures are not supported, and they are.
        let _ = self.entries.invalidate_entries_if(move |_, value| condemned(value));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut generation = self.generation.write().unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        self.entries.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn cache() -> Cache<u8, u8> {
        Cache::new(10, Duration::from_secs(60))
    }

    async fn get(cache: &Cache<u8, u8>, key: u8, value: Option<u8>) -> Option<u8> {
        cache.get_or_load(&key, async { Ok::<_, Infallible>(value) }).await.unwrap()
    }

    #[tokio::test]
    async fn keeps_what_it_loaded_until_told_otherwise() {
        let cache = cache();
        assert_eq!(get(&cache, 1, None).await, None);
        assert_eq!(get(&cache, 1, Some(10)).await, Some(10));
        assert_eq!(get(&cache, 1, Some(11)).await, Some(10));
        cache.invalidate(&1);
        assert_eq!(get(&cache, 1, Some(12)).await, Some(12));
        cache.invalidate_if(|value| *value == 12);
        assert_eq!(get(&cache, 1, Some(13)).await, Some(13));
        cache.clear();
        assert_eq!(get(&cache, 1, Some(14)).await, Some(14));
    }

    #[tokio::test]
    async fn a_load_that_an_invalidation_overtook_is_not_kept() {
        let cache = cache();
        let overtaken = cache.get_or_load(&1, async {
            cache.invalidate(&1);
            Ok::<_, Infallible>(Some(10))
        });
        assert_eq!(overtaken.await.unwrap(), Some(10));
        assert_eq!(get(&cache, 1, Some(11)).await, Some(11));
    }
}
