// Remembers the tokens of words that were seen before, for any number of threads.
#include "text/word_cache.h"

namespace trireme::text {

bool WordCache::find(std::string_view word, std::vector<std::int32_t>& ids) const {
  if (word.size() > kMaxWordBytes) return false;
  const Part& part = parts_[part_of(word)];
  const std::unique_lock lock(part.mutex, std::try_to_lock);
  if (!lock) return false;
  const auto found = part.words.find(word);
  if (found == part.words.end()) return false;
  ids.insert(ids.end(), found->second.begin(), found->second.end());
  return true;
}

void WordCache::add(std::string_view word, const std::int32_t* ids, std::size_t count) {
  if (word.size() > kMaxWordBytes) return;
  Part& part = parts_[part_of(word)];
  const std::unique_lock lock(part.mutex, std::try_to_lock);
  if (!lock) return;
  // Starting over keeps the words of the present text, whatever came before it.
  if (part.words.size() >= kWordsPerPart) part.words.clear();
  part.words.try_emplace(std::string(word), ids, ids + count);
}

}  // namespace trireme::text
