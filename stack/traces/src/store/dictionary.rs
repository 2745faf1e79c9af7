//! The texts of a segment, each once.

use gameday_signal::hash_bytes;

/// A text of a [`Dictionary`], by its number.
pub(crate) type Symbol = u32;

/// Distinct texts in one run of bytes, found by number or by content. A distinct text costs its length and about 16 bytes.
#[derive(Default)]
pub(crate) struct Dictionary {
    text: String,
    /// Where each text ends in `text`.
    ends: Vec<u32>,
    /// Open addressing with linear probing; the upper half of the hash and the symbol plus one, zero where empty.
    table: Vec<(u32, u32)>,
    /// The symbols plus one of the texts that came last, by what is quickly seen of a text: the keys of attributes, and most values,
    /// come again with every span.
    recent: Vec<u32>,
}

/// Slots of [`Dictionary::recent`].
const RECENT: usize = 256;

/// Where in [`Dictionary::recent`] a text has its place.
fn recent_slot(text: &str) -> usize {
    let bytes = text.as_bytes();
    let at = |index: usize| usize::from(bytes.get(index).copied().unwrap_or(0));
    let ends = at(0) * 11 + at(bytes.len().wrapping_sub(1));
    (bytes.len() * 37 + at(bytes.len() / 2) * 5 + ends) % RECENT
}

impl Dictionary {
    /// The symbol of `text`, which is added where it is new.
    pub(crate) fn intern(&mut self, text: &str) -> Symbol {
        let place = recent_slot(text);
        if let Some(symbol) = self.recent.get(place).and_then(|it| it.checked_sub(1))
            && self.is_at(symbol, text)
        {
            return symbol;
        }
        let symbol = self.intern_anew(text);
        self.recent.resize(RECENT, 0);
        self.recent[place] = symbol + 1;
        symbol
    }

    fn intern_anew(&mut self, text: &str) -> Symbol {
        if self.table.len() < (self.ends.len() + 1) * 2 {
            self.grow();
        }
        let hash = hash_bytes(text.as_bytes());
        let slot = self.slot_of(hash, text);
        if let (_, found @ 1..) = self.table[slot] {
            return found - 1;
        }
        let symbol = self.ends.len() as u32;
        self.text.push_str(text);
        self.ends.push(self.text.len() as u32);
        self.table[slot] = ((hash >> 32) as u32, symbol + 1);
        symbol
    }

    /// The symbol of `text`, if it is known.
    pub(crate) fn find(&self, text: &str) -> Option<Symbol> {
        if self.table.is_empty() {
            return None;
        }
        let slot = self.slot_of(hash_bytes(text.as_bytes()), text);
        self.table[slot].1.checked_sub(1)
    }

    /// The text of `symbol`; the empty text for one that damaged bytes have made up.
    pub(crate) fn get(&self, symbol: Symbol) -> &str {
        let index = symbol as usize;
        let Some(end) = self.ends.get(index) else {
            return "";
        };
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        &self.text[start..*end as usize]
    }

    /// The number of distinct texts.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all texts together, which a segment keeps below 4 GiB.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// The bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let tables = self.table.capacity() * 8 + self.recent.capacity() * 4;
        self.text.capacity() + self.ends.capacity() * 4 + tables
    }

    /// Gives back what was reserved for texts that will not come.
    pub(crate) fn shrink(&mut self) {
        self.recent = Vec::new();
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// The slot that holds `text`, or the free one where it belongs.
    fn slot_of(&self, hash: u64, text: &str) -> usize {
        let mask = self.table.len() - 1;
        let mark = (hash >> 32) as u32;
        let mut slot = hash as usize & mask;
        loop {
            let (own_mark, entry) = self.table[slot];
            if entry == 0 || (own_mark == mark && self.is_at(entry - 1, text)) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Whether `symbol` stands for `text`; bytes are compared, so that no part has to be a text of its own.
    fn is_at(&self, symbol: Symbol, text: &str) -> bool {
        let index = symbol as usize;
        let end = self.ends[index] as usize;
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        // Comparing two empty texts is slow: memcmp with AVX-512 then reads from an address that is none.
        end - start == text.len()
            && (text.is_empty() || self.text.as_bytes()[start..end] == *text.as_bytes())
    }

    fn grow(&mut self) {
        let size = (self.table.len() * 2).max(64);
        self.table = vec![(0, 0); size];
        for symbol in 0..self.ends.len() as u32 {
            let hash = hash_bytes(self.get(symbol).as_bytes());
            let mut slot = hash as usize & (size - 1);
            while self.table[slot].1 != 0 {
                slot = (slot + 1) & (size - 1);
            }
            self.table[slot] = ((hash >> 32) as u32, symbol + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_each_text_once() {
        let mut dictionary = Dictionary::default();
        assert_eq!(dictionary.find("a"), None);
        let symbols: Vec<_> = (0..1000)
            .map(|n| dictionary.intern(&format!("text-{n}")))
            .collect();
        assert_eq!(dictionary.intern(""), 1000);
        for (n, symbol) in symbols.into_iter().enumerate() {
            let text = format!("text-{n}");
            assert_eq!(dictionary.intern(&text), symbol);
            assert_eq!(dictionary.find(&text), Some(symbol));
            assert_eq!(dictionary.get(symbol), text);
        }
        assert_eq!(dictionary.get(1000), "");
        assert_eq!(dictionary.find("text-1000"), None);
        assert_eq!(dictionary.len(), 1001);
    }
}
