#include "routing/relation_cache.hpp"

#include "core/base/always_assert.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace pgtorii::routing {

namespace {

std::size_t mix(std::size_t a, std::size_t b)
{
    return (a ^ (b + 0x9e37'79b9'7f4a'7c15U + (a << 6U) + (a >> 2U))) * 0xff51'afd7'ed55'8ccdU;
}

}  // namespace

std::size_t relation_cache::key_hash::operator()(const name_key& key) const
{
    const auto place = std::hash<const void*>{}(key.space) + static_cast<std::size_t>(key.kind);
    return mix(place, std::hash<std::string_view>{}(key.name));
}

std::size_t relation_cache::key_hash::operator()(const text_key& key) const
{
    return mix(std::hash<const void*>{}(key.space), std::hash<const void*>{}(key.text));
}

bool relation_cache::validity::holds(const catalog_namespace& space, clock::time_point now) const
{
    return generation == space.generation->load(std::memory_order_acquire) && now < ends_at;
}

catalog_namespace_ptr
relation_cache::space_of(std::string_view key, std::string_view database,
                         std::vector<std::string> statements,
                         std::shared_ptr<const std::atomic<std::uint64_t>> generation)
{
    if (spaces_.size() >= spaces_looked_at_) forget_unused_spaces();
    auto& known = spaces_[std::string{key}];
    if (auto there = known.lock()) return there;
    auto made = std::make_shared<catalog_namespace>();
    made->key = key;
    made->database = database;
    made->statements = std::move(statements);
    made->generation = std::move(generation);
    known = made;
    return made;
}

void relation_cache::forget_unused_spaces()
{
    std::erase_if(spaces_, [](const auto& each) { return each.second.expired(); });
    spaces_looked_at_ = std::max<std::size_t>(64, 2 * spaces_.size());
}

const catalog_facts* relation_cache::find(const catalog_namespace_ptr& space,
                                          const query_facts_ptr& text, clock::time_point now)
{
    const auto found = verdicts_.find({space.get(), text.get()});
    if (found != verdicts_.end() && found->second.valid.holds(*space, now)) {
        auto& known = found->second;
        if (known.is_refusal) return nullptr;
        known.was_used = true;
        ++counts_.hits;
        return &known.facts;
    }
    if (is_nameless(*text)) return &nothing_;
    const validity valid{space->generation->load(std::memory_order_acquire),
                         clock::time_point::max()};
    const auto* const facts = compose(space, text, valid, nullptr, now);
    if (facts) ++counts_.hits;
    return facts;
}

const relation_cache::entry* relation_cache::find_name(const catalog_namespace& space,
                                                       const catalog_name& name,
                                                       clock::time_point now)
{
    const auto found = entries_.find({&space, name.kind, name.name});
    if (found == entries_.end() || !found->second->valid.holds(space, now)) return nullptr;
    auto& list = by_use_[space.database];
    list.splice(list.begin(), list, found->second);
    return &*found->second;
}

/// The facts of a text from those of its names, when all of them are known: from `fresh`, or else
/// from the cache.
const catalog_facts* relation_cache::compose(const catalog_namespace_ptr& space,
                                             const query_facts_ptr& text, validity valid,
                                             const catalog_question* fresh, clock::time_point now)
{
    catalog_facts facts;
    for (const auto& name : names_of(*text)) {
        if (fresh) {
            const auto& asked = fresh->names();
            const auto place = std::ranges::lower_bound(asked, name);
            if (place != asked.end() && *place == name) {
                merge(facts, fresh->answer(static_cast<std::size_t>(place - asked.begin())));
                continue;
            }
        }
        const auto* const known = find_name(*space, name, now);
        if (!known) return nullptr;
        merge(facts, known->facts);
        valid.ends_at = std::min(valid.ends_at, known->valid.ends_at);
    }
    auto& made = remember(space, text);
    made.facts = std::move(facts);
    made.valid = valid;
    return &made.facts;
}

/// The place of this text's verdict, made when it isn't there.
relation_cache::verdict& relation_cache::remember(const catalog_namespace_ptr& space,
                                                  const query_facts_ptr& text)
{
    const text_key key{space.get(), text.get()};
    const auto found = verdicts_.find(key);
    if (found != verdicts_.end()) {
        found->second.is_refusal = false;
        return found->second;
    }
    while (!verdicts_.empty() && verdicts_.size() >= limits_.verdict_count_max) {
        const auto oldest = verdicts_by_age_.front();
        verdicts_by_age_.pop_front();
        const auto place = verdicts_.find(oldest);
        if (std::exchange(place->second.was_used, false)) {
            verdicts_by_age_.push_back(oldest);
        } else {
            verdicts_.erase(place);
        }
    }
    verdicts_by_age_.push_back(key);
    return verdicts_.emplace(key, verdict{.space = space, .text = text, .facts = {}, .valid = {}})
        .first->second;
}

void relation_cache::remember(const catalog_namespace_ptr& space, const catalog_name& name,
                              const catalog_facts& facts, validity valid)
{
    auto& list = by_use_[space->database];
    const auto found = entries_.find({space.get(), name.kind, name.name});
    if (found != entries_.end()) {
        list.splice(list.begin(), list, found->second);
        found->second->facts = facts;
        found->second->valid = valid;
        return;
    }
    while (!list.empty() && list.size() >= limits_.entry_count_max) {
        const auto& oldest = list.back();
        entries_.erase({oldest.space.get(), oldest.name.kind, oldest.name.name});
        list.pop_back();
    }
    list.push_front({.space = space, .name = name, .facts = facts, .valid = valid});
    const auto& made = list.front();
    entries_.emplace(name_key{space.get(), made.name.kind, made.name.name}, list.begin());
}

void relation_cache::refuse(const catalog_namespace_ptr& space, const query_facts_ptr& text,
                            clock::time_point until)
{
    auto& made = remember(space, text);
    made.facts = {};
    made.valid = {space->generation->load(std::memory_order_acquire), until};
    made.is_refusal = true;
}

relation_cache::asked relation_cache::ask(const catalog_namespace_ptr& space,
                                          const query_facts_ptr& text, std::uint64_t waiter,
                                          clock::time_point now, look_up& started)
{
    if (now < space->refused_until) return asked::refused;
    const auto known = verdicts_.find({space.get(), text.get()});
    if (known != verdicts_.end() && known->second.is_refusal &&
        known->second.valid.holds(*space, now)) {
        return asked::refused;
    }
    std::vector<catalog_name> missing;
    bool is_covered = false;
    const auto wait_for = [waiter](under_way& which) {
        if (std::ranges::find(which.waiters, waiter) == which.waiters.end()) {
            which.waiters.push_back(waiter);
        }
    };
    const auto generation = space->generation->load(std::memory_order_acquire);
    for (auto& name : names_of(*text)) {
        if (find_name(*space, name, now)) continue;
        const auto found = asked_names_.find({space.get(), name.kind, name.name});
        // A question that was asked before the schema changed gives no answer for now.
        if (found != asked_names_.end() && look_ups_.at(found->second).generation == generation) {
            wait_for(look_ups_.at(found->second));
            is_covered = true;
        } else {
            missing.push_back(std::move(name));
        }
    }
    if (missing.empty()) return is_covered ? asked::waiting : asked::refused;
    if (!catalog_question::is_answerable(missing)) {
        refuse(space, text, now + long_refusal_time);
        return asked::refused;
    }
    if (look_ups_.size() >= limits_.look_up_count_max) return asked::refused;

    const auto id = next_id_++;
    started = {.id = id, .names = missing};
    auto& made = look_ups_[id];
    made = {.space = space,
            .text = text,
            .names = std::move(missing),
            .generation = generation,
            .waiters = {waiter}};
    for (const auto& name : made.names) {
        asked_names_.erase({space.get(), name.kind, name.name});  // its key looks into an older one
        asked_names_.emplace(name_key{space.get(), name.kind, name.name}, id);
    }
    ++counts_.look_ups;
    return asked::start;
}

relation_cache::under_way relation_cache::take(std::uint64_t id)
{
    const auto found = look_ups_.find(id);
    always_assert(found != look_ups_.end());
    for (const auto& name : found->second.names) {
        const auto there = asked_names_.find({found->second.space.get(), name.kind, name.name});
        if (there != asked_names_.end() && there->second == id) asked_names_.erase(there);
    }
    auto over = std::move(found->second);
    look_ups_.erase(found);
    return over;
}

std::vector<std::uint64_t>
relation_cache::answered(std::uint64_t id, const catalog_question& answer, clock::time_point now)
{
    const auto over = take(id);
    always_assert(answer.names() == over.names);
    const validity valid{over.generation, limits_.life_time.count() > 0 ? now + limits_.life_time
                                                                        : clock::time_point::max()};
    // The schema has changed meanwhile: what was answered may be of before.
    if (!valid.holds(*over.space, now)) return over.waiters;
    // First the text, whose names may be more than are kept.
    (void)compose(over.space, over.text, valid, &answer, now);
    for (std::size_t i = 0; i < over.names.size(); ++i) {
        remember(over.space, over.names[i], answer.answer(i), valid);
    }
    return over.waiters;
}

std::vector<std::uint64_t> relation_cache::failed(std::uint64_t id, look_up_failure why,
                                                  clock::time_point now)
{
    const auto over = take(id);
    ++counts_.failures;
    switch (why) {
    case look_up_failure::busy: break;
    case look_up_failure::refused_text: refuse(over.space, over.text, now + refusal_time); break;
    case look_up_failure::no_server: over.space->refused_until = now + refusal_time; break;
    case look_up_failure::not_admitted: over.space->refused_until = now + long_refusal_time; break;
    }
    return over.waiters;
}

}  // namespace pgtorii::routing
