// The names of kernels and the places of their __shared__ variables, from the symbol table of the
// program or plug-in: a __shared__ variable is a static variable whose mangled name begins with its
// function's.
#include <cxxabi.h>
#include <elf.h>
#include <fmt/core.h>
#include <link.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "emulation/internal.h"

namespace trireme::cuda::emulation {

namespace {

using Variables = std::vector<std::span<std::byte>>;

struct Symbols {
  std::map<std::uintptr_t, std::string> functions;
  std::map<std::string, Variables, std::less<>> variables;  ///< by their function's mangled name
};

/// The program, or the library, that this is a part of, and so the kernels are.
struct Image {
  std::uintptr_t load_address = 0;
  std::string path = "/proc/self/exe";
};

int note_if_ours(dl_phdr_info* info, std::size_t, void* image) {
  const auto ours = reinterpret_cast<std::uintptr_t>(&kernel_name);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || ours - info->dlpi_addr - segment.p_vaddr >= segment.p_memsz) {
      continue;
    }
    static_cast<Image*>(image)->load_address = info->dlpi_addr;
    if (*info->dlpi_name != '\0') static_cast<Image*>(image)->path = info->dlpi_name;
    return 1;
  }
  return 0;
}

Image our_image() {
  Image image;
  dl_iterate_phdr(&note_if_ours, &image);
  return image;
}

std::vector<char> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// "_ZZN1a1fEvE4tile" is a variable of "_ZN1a1fEv": all beginnings that may be a function's name.
void add_variable(Symbols& symbols, std::string_view name, std::span<std::byte> bytes) {
  if (name.substr(0, 3) != "_ZZ") return;
  const std::string function = "_Z" + std::string(name.substr(3));
  for (std::size_t end = function.find('E'); end != std::string::npos;
       end = function.find('E', end + 1)) {
    symbols.variables[function.substr(0, end)].push_back(bytes);
  }
}

Symbols read_symbols() {
  Symbols symbols;
  const Image ours = our_image();
  const std::vector<char> image = read_file(ours.path);
  if (image.size() < sizeof(ElfW(Ehdr))) return symbols;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(image.data());
  const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(image.data() + header->e_shoff);
  for (int s = 0; s < header->e_shnum; ++s) {
    if (sections[s].sh_type != SHT_SYMTAB) continue;
    const char* names = image.data() + sections[sections[s].sh_link].sh_offset;
    const auto* list = reinterpret_cast<const ElfW(Sym)*>(image.data() + sections[s].sh_offset);
    for (std::size_t i = 0; i < sections[s].sh_size / sizeof(ElfW(Sym)); ++i) {
      const std::uintptr_t address = ours.load_address + list[i].st_value;
      const int type = list[i].st_info & 0xf;
      if (type == STT_FUNC && list[i].st_value != 0) {
        symbols.functions.emplace(address, names + list[i].st_name);
      } else if (type == STT_OBJECT && list[i].st_shndx < header->e_shnum &&
                 sections[list[i].st_shndx].sh_type == SHT_NOBITS) {
        add_variable(symbols, names + list[i].st_name,
                     {reinterpret_cast<std::byte*>(address), list[i].st_size});
      }
    }
  }
  return symbols;
}

const Symbols& symbols() {
  static const Symbols all = read_symbols();
  return all;
}

const std::string* mangled_name(const void* kernel) {
  const auto found = symbols().functions.find(reinterpret_cast<std::uintptr_t>(kernel));
  return found == symbols().functions.end() ? nullptr : &found->second;
}

}  // namespace

std::string kernel_name(const void* kernel) {
  const std::string* name = mangled_name(kernel);
  if (name == nullptr) return fmt::format("at {}", kernel);
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name->c_str(), nullptr, nullptr, nullptr), &std::free);
  if (text == nullptr) return *name;
  // The name without its arguments.
  std::string plain = text.get();
  const std::string_view unnamed = "(anonymous namespace)::";
  for (std::size_t at; (at = plain.find(unnamed)) != std::string::npos;) {
    plain.erase(at, unnamed.size());
  }
  return plain.substr(0, plain.find('('));
}

std::span<const std::span<std::byte>> shared_variables(const void* kernel) {
  static const void* last = nullptr;
  static std::span<const std::span<std::byte>> found;
  if (kernel == last) return found;
  last = kernel;
  found = {};
  if (const std::string* name = mangled_name(kernel)) {
    const auto at = symbols().variables.find(*name);
    if (at != symbols().variables.end()) found = at->second;
  }
  return found;
}

}  // namespace trireme::cuda::emulation
