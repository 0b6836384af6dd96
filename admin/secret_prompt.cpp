#include "admin/secret_prompt.hpp"

#include "core/runtime/descriptor.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <string>
#include <termios.h>
#include <unistd.h>

namespace pgtorii::admin {

namespace {

constexpr std::size_t answer_bytes_max = 4'096;

/// A terminal shows nothing of what is typed while this lives. Ctrl-C waits so long: it would
/// leave the terminal mute.
class quiet_terminal {
public:
    explicit quiet_terminal(int terminal) : terminal_(terminal)
    {
        sigset_t interrupts;
        ::sigemptyset(&interrupts);
        for (const int each : {SIGINT, SIGTERM, SIGQUIT, SIGTSTP}) ::sigaddset(&interrupts, each);
        ::sigprocmask(SIG_BLOCK, &interrupts, &mask_);
        is_changed_ = ::tcgetattr(terminal_, &before_) == 0;
        if (!is_changed_) return;
        auto quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        is_changed_ = ::tcsetattr(terminal_, TCSAFLUSH, &quiet) == 0;
    }
    ~quiet_terminal()
    {
        if (is_changed_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
        ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    }
    quiet_terminal(const quiet_terminal&) = delete;
    quiet_terminal& operator=(const quiet_terminal&) = delete;

private:
    int terminal_;
    termios before_{};
    sigset_t mask_{};
    bool is_changed_ = false;
};

/// A line without its end, or nothing when there is none, byte by byte: what follows it is not
/// ours.
std::optional<config::secret> read_line(int from)
{
    std::string line;
    line.reserve(answer_bytes_max);  // a text that grows would leave copies behind
    std::optional<config::secret> answer;
    for (;;) {
        char c = '\0';
        const auto count = ::read(from, &c, 1);
        if (count < 0 && errno == EINTR) continue;
        const bool is_end = count <= 0 || c == '\n';
        if (is_end && (count > 0 || !line.empty())) answer.emplace(line);
        if (is_end || line.size() == answer_bytes_max) break;
        line += c;
    }
    config::wipe(line);
    return answer;
}

void write_text(int to, std::string_view text)
{
    while (!text.empty()) {
        const auto count = ::write(to, text.data(), text.size());
        if (count <= 0) return;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

}  // namespace

std::optional<config::secret> ask_on_terminal(std::string_view question)
{
    if (::isatty(STDIN_FILENO) == 0) return read_line(STDIN_FILENO);
    const runtime::descriptor terminal{::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)};
    if (!terminal.is_open()) return std::nullopt;
    std::optional<config::secret> answer;
    {
        const quiet_terminal quiet{terminal.get()};
        write_text(terminal.get(), question);
        answer = read_line(terminal.get());
    }
    write_text(terminal.get(), "\n");
    return answer;
}

}  // namespace pgtorii::admin
