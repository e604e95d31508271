# Homebrew formula for a tap. A release fills in version and sha256.
class Lintel < Formula
  desc "Memcached-compatible cache server and client, and ZeroMQ sockets"
  homepage "https://lintel.dev"
  url "https://lintel.dev/releases/v0.0.0/lintel-0.0.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"

  depends_on "go" => :build

  def install
    ENV["CGO_ENABLED"] = "0"
    ldflags = "-s -w -X main.version=#{version}"
    system "go", "build", *std_go_args(ldflags: ldflags), "./cmd/lintel"
    generate_completions_from_executable(bin/"lintel", "completion")
    man1.install Dir["deploy/man/lintel/*.1"]
  end

  service do
    run [opt_bin/"lintel", "memcached", "-l", "127.0.0.1"]
    keep_alive true
    working_dir HOMEBREW_PREFIX
  end

  test do
    port = free_port
    server = spawn bin/"lintel", "memcached", "-l", "127.0.0.1", "-p", port.to_s
    begin
      sleep 2
      system bin/"lintel", "cache", "check", "--servers", "127.0.0.1:#{port}"
    ensure
      Process.kill "TERM", server
      Process.wait server
    end
  end
end
