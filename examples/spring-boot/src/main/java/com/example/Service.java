package com.example;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
@RestController
public class Service {
    @GetMapping("/")
    String index() {
        return "hello from spring";
    }

    public static void main(String[] args) {
        SpringApplication.run(Service.class, args);
    }
}
