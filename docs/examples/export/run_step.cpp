// run_step step.onnx in.f32 out.f32: an exported step over raw float32, (channels, steps, values of a step).
#include <onnxruntime_c_api.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>
static const OrtApi* api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
static void check(OrtStatus* status) { if (status) std::puts(api->GetErrorMessage(status)), std::exit(1); }
template <class T, class F, class... A> T got(F f, A... a) { T value; return check(f(a..., &value)), value; }
template <class T> T* data(OrtValue* value) { return (T*)got<void*>(api->GetTensorMutableData, value); }
int main(int, char** argv) {
  auto allocator = got<OrtAllocator*>(api->GetAllocatorWithDefaultOptions);
  auto env = got<OrtEnv*>(api->CreateEnv, ORT_LOGGING_LEVEL_WARNING, "step");
  auto session = got<OrtSession*>(api->CreateSession, env, argv[1], got<OrtSessionOptions*>(api->CreateSessionOptions));
  auto meta = got<OrtModelMetadata*>(api->SessionGetModelMetadata, session);
  auto text = [&](auto key) { return got<char*>(api->ModelMetadataLookupCustomMetadataMap, meta, allocator, key); };
  auto fact = [&](const char* key, size_t i) {  // number i in one of the file's own properties; 1 past the last
    std::vector<long> numbers;
    for (auto at = text(key); *at;) *at < '0' || *at > '9' ? void(at++) : numbers.push_back(std::strtol(at, &at, 10));
    return i < numbers.size() ? numbers[i] : 1;
  };
  if (*text("initial_state") != 'z') return std::puts("this program begins with zeros; the step has a state file"), 1;
  const long in = fact("shape", 1), chunk = fact("shape", 2), rest = fact("shape", 3) * fact("shape", 4);
  const long out = fact("output_shape", 1), given = fact("output_shape", 2), skip = fact("skip", 0);
  const long rest_out = fact("output_shape", 3) * fact("output_shape", 4);
  const auto n = got<size_t>(api->SessionGetInputCount, session);  // chunk, state ...; outputs, next state ...
  std::vector<char*> names(n), names_out(n);
  std::vector<OrtValue*> values(n), after;
  for (size_t i = 0; i < n; i++) {
    names[i] = got<char*>(api->SessionGetInputName, session, i, allocator);
    names_out[i] = got<char*>(api->SessionGetOutputName, session, i, allocator);
    auto info = got<OrtTypeInfo*>(api->SessionGetInputTypeInfo, session, i);
    auto tensor = got<const OrtTensorTypeAndShapeInfo*>(api->CastTypeInfoToTensorInfo, info);
    auto type = got<ONNXTensorElementDataType>(api->GetTensorElementType, tensor);
    auto count = got<size_t>(api->GetTensorShapeElementCount, tensor);
    std::vector<int64_t> shape(got<size_t>(api->GetDimensionsCount, tensor));
    check(api->GetDimensions(tensor, shape.data(), shape.size()));
    values[i] = got<OrtValue*>(api->CreateTensorAsOrtValue, allocator, shape.data(), shape.size(), type);
    std::fill_n(data<char>(values[i]), count * (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT ? 4 : 8), 0);
  }
  std::vector<float> x, y;
  auto file = std::fopen(argv[2], "rb"), result = std::fopen(argv[3], "wb");
  for (float value; std::fread(&value, 4, 1, file);) x.push_back(value);
  const long length = *data<int64_t>(values[2]) = x.size() / (in * rest);  // clock.length; values[3] is clock.outputs
  for (long t = 0, come = 0; t < length || come < skip + *data<int64_t>(values[3]); t += chunk, come += given) {
    for (long i = 0; i < in * chunk * rest; i++) {  // zeros past the input's end
      const long at = t * rest + i % (chunk * rest);
      data<float>(values[0])[i] = at < length * rest ? x[i / (chunk * rest) * length * rest + at] : 0;
    }
    after.assign(n, nullptr);
    check(api->Run(session, nullptr, names.data(), values.data(), n, names_out.data(), n, after.data()));
    y.insert(y.end(), data<float>(after[0]), data<float>(after[0]) + out * given * rest_out);
    std::swap(values[0], after[0]);  // the chunk's tensor is used again
    for (auto value : values) api->ReleaseValue(value);
    values = after;
  }
  for (long c = 0; c < out; c++)
    for (long t = skip; t < skip + *data<int64_t>(values[3]); t++)
      std::fwrite(&y[((t / given * out + c) * given + t % given) * rest_out], 4, rest_out, result);
}
