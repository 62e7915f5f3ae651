// The library as other programs get it: installed, found by find_package, linked and run outside of the tree.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "aio/subprocess.hpp"
#include "support/postgres_server.hpp"
#include "support/run_coroutine.hpp"

namespace opi::pg {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class InstalledLibraryTest : public testing::Test {
 protected:
  /// The value of a variable of our own build.
  std::string cached(const std::string& name) const {
    std::ifstream cache(build_ / "CMakeCache.txt");
    for (std::string line; std::getline(cache, line);) {
      if (line.starts_with(name + ":")) return line.substr(line.find('=') + 1);
    }
    throw std::runtime_error(name + " is not in the cache of the build");
  }
  std::string run(std::vector<std::string> argv) const {
    const auto& server = test::PostgresServer::shared();
    aio::Command command{.argv = std::move(argv),
                         .environment = {"PATH=" + std::string(std::getenv("PATH")), "HOME=/nonexistent",
                                         "PGPORT=" + std::to_string(server.port()), "PGPASSWORD=" + server.password()}};
    for (const char* const name : {"CCACHE_DIR", "CCACHE_MAXSIZE"}) {
      if (const char* const value = std::getenv(name)) command.environment.push_back(std::string(name) + "=" + value);
    }
    command.directory = build_;
    command.output_max = 1U << 22U;
    const std::string what = command.argv[0] + " " + command.argv[1 % command.argv.size()];
    const auto result = test::run_coroutine(
        aio::run_command(std::move(command), std::chrono::steady_clock::now() + std::chrono::minutes(9)),
        std::chrono::minutes(10));
    if (!result) throw std::runtime_error(what + ": " + result.error().to_string());
    if (result->exit_code != 0) throw std::runtime_error(what + " failed: " + result->output + result->error_output);
    return result->output;
  }
  const fs::path build_ = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  const fs::path tree_ = OPI_SOURCE_DIR;
  const fs::path folder_ = build_ / "installed";  // always the same, for the compiler's cache
};

TEST_F(InstalledLibraryTest, AProgramOutsideOfTheTreeFindsLinksAndRunsIt) {
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "the build with the address sanitizer does it";
#endif
  fs::remove_all(folder_);
  const fs::path prefix = folder_ / "prefix";
  const fs::path source = folder_ / "source";
  const fs::path binary = folder_ / "build";
  const std::string cmake = cached("CMAKE_COMMAND");
  run({cmake, "--install", build_, "--prefix", prefix, "--component", "opi_pg"});

  int headers = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(prefix)) {
    if (!entry.is_regular_file() || entry.path().extension() == ".a") continue;
    headers += entry.path().extension() == ".hpp" ? 1 : 0;
    const std::string text = text_of(entry.path());
    EXPECT_FALSE(text.contains(build_.string())) << entry.path();
    EXPECT_FALSE(text.contains(tree_.string() + "/")) << entry.path();
  }
  EXPECT_GT(headers, 20);
  EXPECT_FALSE(fs::exists(prefix / "include/opi/pg/pool_core.hpp")) << "the inside stays inside";

  fs::create_directories(source);
  fs::copy(tree_ / "tests/integration/pg/installed", source, fs::copy_options::recursive);
  fs::copy(tree_ / "examples/pool/main.cpp", source / "example.cpp");
  const std::string sanitizers = cached("OPI_SANITIZE");
  run({cmake, "-G", "Ninja", "-S", source, "-B", binary, "-DCMAKE_PREFIX_PATH=" + prefix.string(),
       "-DCMAKE_CXX_COMPILER=" + cached("CMAKE_CXX_COMPILER"), "-DCMAKE_CXX_COMPILER_LAUNCHER=ccache",
       sanitizers.empty() ? "-DCMAKE_CXX_FLAGS=" : "-DCMAKE_CXX_FLAGS=-fsanitize=" + sanitizers});
  run({cmake, "--build", binary});
  EXPECT_EQ(run({binary / "outside"}), "installed 42\n");
  const std::string example = run({binary / "example"});
  EXPECT_TRUE(example.contains("3 * 3 = 9\ndeposit: committed\n")) << example;
}

}  // namespace
}  // namespace opi::pg
