#pragma once

#include "core/link_pool.hpp"
#include "core/runtime/deadlines.hpp"
#include "core/runtime/event_set.hpp"
#include "core/runtime/task.hpp"
#include "protocol/message.hpp"
#include "routing/catalog_question.hpp"
#include "routing/relation_cache.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace pgtorii::core {

class session_home;

/// One question to the catalog on its way: a coroutine of its own, on a link of its own, never on a
/// session's. Home worker only; its owner may destroy it at any time, and everything goes back.
///
/// What goes to the server, in one piece: the statements that bring the namespace, limits, the
/// question, DISCARD ALL. Then the link is parked like a session's. An error of any of them makes
/// the whole a failure: the question itself does no harm in the wrong namespace, its answer would.
class catalog_lookup {
public:
    struct order {
        std::shared_ptr<core::pool> pool;  ///< Of the session that asks: its user, its parameters.
        int node;
        link_pool::look_up_turn turn;  ///< Taken; returned by the look-up.
        routing::catalog_namespace_ptr space;
    };
    using failure = std::optional<routing::look_up_failure>;

    /// `told` runs once, when the answer is there or can't come; `over` runs at the end, from
    /// inside this object: it may only post or defer.
    catalog_lookup(session_home& home, order what, routing::catalog_question question,
                   std::function<void(failure)> told, std::function<void()> over);
    ~catalog_lookup();
    catalog_lookup(const catalog_lookup&) = delete;
    catalog_lookup& operator=(const catalog_lookup&) = delete;

    void start();
    const routing::catalog_question& question() const { return question_; }

private:
    runtime::task<> run();
    runtime::task<failure> ask();
    runtime::task<failure> obtain_link();
    runtime::task<bool> connect();
    runtime::task<failure> log_in();
    runtime::task<bool> wait();
    void send_all();
    bool flush();
    failure take_messages();
    failure on_message(const protocol::message_view& message);
    void tell(failure outcome);
    void give_back();

    session_home& home_;
    order order_;
    routing::catalog_question question_;
    std::function<void(failure)> told_;
    std::function<void()> over_;
    runtime::event_set events_;
    runtime::deadline deadline_;
    std::unique_ptr<server_link> link_;
    std::vector<std::byte> received_;
    std::size_t received_bytes_ = 0;  // in all
    bool is_late_ = false;
    bool is_reset_ = false;
    runtime::task<> root_;
};

}  // namespace pgtorii::core
